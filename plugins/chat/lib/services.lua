-- Which chat an action means, and one request to it. An adapter, the module of the vendor's name, has
--   request(client, input, what): the request for "post", "reply" or "update"
--   read(client, answer, input): {id, channel, thread} of what was posted
--   again(client, request, input, what, answer), if it has one: another request when the answer says that this one asked in the wrong place
--   refusal(answer): code, message, is_busy, after; nil when the answer is none
local M = {}
local Client = {}
Client.__index = Client

-- What the workflow or the configuration is to blame for, whatever the vendor.
function Client:wrong(what, message)
  error(self.ctx.fail{code = "chat." .. what, message = message})
end

function Client:need(name)
  local secret = self.service[name]
  if not secret then self:wrong("config", "configure.chat: the service '" .. self.service.name .. "' (" .. self.service.vendor .. ") has no " .. name) end
  return self.ctx.secret(secret)
end

function Client:channel(input)
  local channel = input.channel or self.service.channel
  if not channel then self:wrong("input", "give channel, or write one into configure.chat.services: where the message is to be") end
  return tostring(channel)
end

-- The same for all attempts of a step.
function Client:mark()
  return self.ctx.hmac("sha256", "bellwire.chat", self.ctx.idempotency_key):sub(1, 24)
end

local function choose(ctx, name)
  local names = {}
  for _, service in ipairs(ctx.config.services) do
    service.name = service.name or service.vendor
    if not name or service.name == name then return service end
    names[#names + 1] = service.name
  end
  if #names == 0 then
    error(ctx.fail{code = "chat.config", message = "no chat is configured: write configure: {chat: {services: [{vendor: slack, token: {secret: NAME}}]}} into bellwire.yaml"})
  end
  error(ctx.fail{code = "chat.service", message = "there is no service '" .. name .. "' in configure.chat.services, only " .. table.concat(names, ", ")})
end

local function judge(client, adapter, answer)
  local vendor = client.service.vendor
  local code, message, is_busy, after = adapter.refusal(answer)
  local is_good = answer.status >= 200 and answer.status <= 299
  if is_good and not code then return end
  is_busy = is_busy or answer.status == 408 or answer.status == 429 or answer.status >= 500
  code = "chat." .. vendor .. "." .. tostring(code or answer.status):gsub("[^%w_.-]", "_")
  message = vendor .. " answered " .. answer.status .. ": " .. tostring(message or (answer.body ~= "" and answer.body) or "nothing")
  if is_busy then error(client.ctx.retry{code = code, message = message, after = answer.headers["retry-after"] or after}) end
  error(client.ctx.fail{code = code, message = message})
end

function M.call(ctx, input, what)
  local service = choose(ctx, input.service)
  local adapter = require(service.vendor)
  local client = setmetatable({ctx = ctx, service = service}, Client)
  if not service.url and not adapter.url and not service.webhook then client:wrong("config", "configure.chat: the service '" .. service.name .. "' needs a url") end
  client.url = (service.url or adapter.url or ""):gsub("/+$", "")
  if input.text == nil and input.rich == nil then client:wrong("input", "give text, or rich: what the message says") end
  local request = adapter.request(client, input, what)
  for name, value in pairs(input.fields) do request.json[name] = value end
  local answer = ctx.http(request)
  local other = adapter.again and adapter.again(client, request, input, what, answer)
  if other then answer = ctx.http(other) end
  if adapter.is_done and adapter.is_done(answer) then return adapter.read(client, answer, input) end
  judge(client, adapter, answer)
  return adapter.read(client, answer, input)
end

return M
