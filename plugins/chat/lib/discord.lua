-- Discord, API v10: as a bot, or by a webhook. A bot's message with a nonce that was just there is the one that was just there.
local M = {url = "https://discord.com"}

local function body_of(client, input)
  local json = {content = input.text, embeds = input.rich}
  if not input.mentions then json.allowed_mentions = {parse = client.ctx.json.array{}} end
  return json
end

local function by_webhook(client, input, what)
  local json, hook = body_of(client, input), client:need("webhook")
  if what == "update" then return {method = "PATCH", url = hook .. "/messages/" .. client.ctx.urlencode(tostring(input.id)), json = json} end
  local query = {wait = true}
  if what == "reply" then query.thread_id = tostring(input.thread) end
  return {method = "POST", url = hook, query = query, json = json}
end

local function as_bot(client, input, what)
  local json = body_of(client, input)
  local url = client.url .. "/api/v10/channels/" .. client.ctx.urlencode(client:channel(input)) .. "/messages"
  local headers = {Authorization = "Bot " .. client:need("token")}
  if what == "update" then return {method = "PATCH", url = url .. "/" .. client.ctx.urlencode(tostring(input.id)), json = json, headers = headers} end
  json.nonce, json.enforce_nonce = client:mark(), true
  if what == "reply" then json.message_reference = {message_id = tostring(input.thread)} end
  return {method = "POST", url = url, json = json, headers = headers}
end

function M.request(client, input, what)
  local request = (client.service.webhook and by_webhook or as_bot)(client, input, what)
  request.headers = request.headers or {}
  request.headers["User-Agent"] = "DiscordBot (bellwire, 1.0.0)" -- Discord turns others away
  return request
end

-- A webhook finds a message in a thread by the thread's id, which is the channel that chat/reply has given. That of its own channel is no thread's.
function M.again(client, request, input, what, answer)
  if what ~= "update" or not client.service.webhook or answer.status ~= 404 or not input.channel then return nil end
  request.query = {thread_id = tostring(input.channel)}
  return request
end

-- What is wrong with which field, of all of which the first is enough: {content = {_errors = {{message = …}}}}, maybe deeper.
local function wrong_field(errors, path)
  if type(errors) ~= "table" then return nil end
  local first = type(errors._errors) == "table" and errors._errors[1]
  if type(first) == "table" and first.message then return (path and path .. ": " or "") .. tostring(first.message) end
  local names = {}
  for name in pairs(errors) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    local found = wrong_field(errors[name], (path and path .. "." or "") .. tostring(name))
    if found then return found end
  end
end

function M.refusal(answer)
  local said = answer.json
  if type(said) ~= "table" or (answer.status >= 200 and answer.status <= 299) then return nil end
  local why = wrong_field(said.errors)
  return said.code ~= 0 and said.code or nil, why and tostring(said.message) .. " (" .. why .. ")" or said.message, false, tonumber(said.retry_after)
end

-- A webhook finds a thread by the thread's own id, which is that of the message that it hangs on: an answer in it has none of its own.
function M.read(client, answer, input)
  local said = answer.json or {}
  local thread = client.service.webhook and input.thread and tostring(input.thread) or said.id
  return {id = said.id, channel = said.channel_id or (input.channel and tostring(input.channel)), thread = thread}
end

return M
