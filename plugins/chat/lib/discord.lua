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

function M.refusal(answer)
  local said = answer.json
  if type(said) ~= "table" or (answer.status >= 200 and answer.status <= 299) then return nil end
  return said.code ~= 0 and said.code or nil, said.message, false, tonumber(said.retry_after)
end

-- A webhook finds a thread by the thread's own id, which is the message's that it hangs on.
function M.read(client, answer, input)
  local said = answer.json or {}
  return {id = said.id, channel = said.channel_id or (input.channel and tostring(input.channel)), thread = said.id}
end

return M
