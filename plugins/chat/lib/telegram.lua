-- Telegram, Bot API. The token is a part of the address.
local M = {url = "https://api.telegram.org"}

function M.request(client, input, what)
  local json = {chat_id = client:channel(input), text = input.text, reply_markup = input.rich}
  if not input.text then client:wrong("input", "telegram wants a text") end
  if what == "reply" then json.reply_parameters = {message_id = math.tointeger(tonumber(input.thread))} end
  if what == "update" then json.message_id = math.tointeger(tonumber(input.id)) end
  local id = what == "reply" and input.thread or what == "update" and input.id or 1
  if not math.tointeger(tonumber(id)) then client:wrong("input", "'" .. tostring(id) .. "' is no id of telegram: a number is wanted") end
  return {method = "POST", url = client.url .. "/bot" .. client:need("token") .. (what == "update" and "/editMessageText" or "/sendMessage"), json = json}
end

-- A message that says already what it is to say was changed by an attempt before.
function M.is_done(answer)
  return type(answer.json) == "table" and tostring(answer.json.description):find("message is not modified", 1, true) ~= nil
end

function M.refusal(answer)
  local said = answer.json
  if type(said) ~= "table" or said.ok then return nil end
  local parameters = type(said.parameters) == "table" and said.parameters or {}
  return said.error_code, said.description, said.error_code == 429, parameters.retry_after
end

function M.read(client, answer, input)
  local message = type(answer.json.result) == "table" and answer.json.result or {message_id = input.id, chat = {id = client:channel(input)}}
  return {id = tostring(message.message_id), channel = tostring(message.chat.id), thread = tostring(message.message_id)}
end

return M
