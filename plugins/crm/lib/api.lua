-- Requests to one account within one attempt. What the vendor refuses is raised as a failure with the vendor's own code and words; what may be better
-- later is raised as one that is tried again.
local token = require "token"
local M = {}
local Client = {}
Client.__index = Client

-- vendor: {headers = function(client), explain = function(body): code, message, busy = set of codes that are tried again,
--   reset = the header that has the seconds until a limit is over}
function M.open(ctx, account, vendor)
  return setmetatable({ctx = ctx, account = account, vendor = vendor, url = (account.url or vendor.url):gsub("/+$", "")}, Client)
end

local function code_of(client, suffix)
  return "crm." .. client.account.vendor .. "." .. tostring(suffix):gsub("[^%w_.-]", "_")
end

function Client:fail(suffix, message)
  error(self.ctx.fail{code = code_of(self, suffix), message = message})
end

-- What the workflow or the configuration is to blame for, whatever the vendor.
function Client:wrong(what, message)
  error(self.ctx.fail{code = "crm." .. what, message = message})
end

function Client:retry(suffix, message, after)
  error(self.ctx.retry{code = code_of(self, suffix), message = message, after = after})
end

-- A token that was asked for is no secret that the engine knows: it is taken out here.
local function blot(client, text)
  local token, parts, at = client.fetched or "", {}, 1
  while token ~= "" do
    local from, to = text:find(token, at, true)
    if not from then break end
    parts[#parts + 1] = text:sub(at, from - 1) .. "[token]"
    at = to + 1
  end
  return table.concat(parts) .. text:sub(at)
end

function Client:refuse(answer)
  local code, message = self.vendor.explain(answer.json)
  code = code or answer.status
  message = blot(self, self.account.vendor .. " answered " .. answer.status .. ": " .. tostring(message or (answer.body ~= "" and answer.body) or "nothing"))
  local busy = (self.vendor.busy or {})[code]
  if busy or answer.status == 408 or answer.status == 423 or answer.status == 429 or answer.status >= 500 then
    local reset = answer.status == 429 and self.vendor.reset and answer.headers[self.vendor.reset] or nil
    self:retry(code, message, answer.headers["retry-after"] or reset or (type(busy) == "string" and busy or nil))
  end
  self:fail(code, message)
end

local function send(client, request)
  local headers = client.vendor.headers(client)
  for name, value in pairs(request.headers or {}) do headers[name] = value end
  return client.ctx.http{
    method = request.method or "GET", url = client.url .. request.path, query = request.query, json = request.json, headers = headers,
  }
end

-- accept: statuses beside 2xx that are answers, as a set. Whoever answers 401 has done nothing.
function Client:call(request)
  local answer = send(self, request)
  if answer.status == 401 and token.renew(self) then answer = send(self, request) end
  if (answer.status < 200 or answer.status > 299) and not (request.accept or {})[answer.status] then self:refuse(answer) end
  return answer
end

-- The body of a 2xx, which has to be JSON.
function Client:json(request)
  local answer = self:call(request)
  if answer.json == nil then self:retry("no_json", self.account.vendor .. " answered " .. answer.status .. " with what is no JSON") end
  return answer.json
end

-- The value of a secret of the account, which has to be configured.
function Client:secret(name)
  local secret = self.account[name]
  if not secret then self:wrong("config", "configure.crm: the account '" .. self.account.name .. "' has no " .. name) end
  return self.ctx.secret(secret)
end

-- Short, and the same for all attempts of a step: it marks what a vendor itself would store twice.
function Client:mark()
  return self.ctx.hmac("sha256", "bellwire.crm", self.ctx.idempotency_key):sub(1, 12)
end

-- A UUID that is the same whenever the text is: of version 8 (RFC 9562).
function Client:uuid_of(text)
  local hex = self.ctx.hmac("sha256", "bellwire.crm", text)
  return ("%s-%s-8%s-a%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(13, 15), hex:sub(16, 18), hex:sub(19, 30))
end

function Client:record_url(id, otherwise)
  local template = self.account.record_url or otherwise
  return template and template:gsub("{id}", (tostring(id):gsub("%%", "%%%%")))
end

return M
