-- Slack, Web API. A refusal is an answer with status 200 and ok = false.
local M = {url = "https://slack.com"}
local busy = {ratelimited = true, rate_limited = true, internal_error = true, fatal_error = true, service_unavailable = true, request_timeout = true}

-- <!channel>, <!here>, <@U1> and <!subteam^S1> call people; links stay links.
local function quiet(text)
  return (text:gsub("<([!@])", "&lt;%1"))
end

function M.request(client, input, what)
  local json = {channel = client:channel(input), blocks = input.rich}
  if input.text then json.text = input.mentions and input.text or quiet(input.text) end
  if what == "reply" then json.thread_ts = tostring(input.thread) end
  if what == "update" then json.ts = tostring(input.id) end
  return {
    method = "POST", url = client.url .. (what == "update" and "/api/chat.update" or "/api/chat.postMessage"), json = json,
    headers = {Authorization = "Bearer " .. client:need("token"), ["Content-Type"] = "application/json; charset=utf-8"},
  }
end

function M.refusal(answer)
  local said = answer.json
  if type(said) ~= "table" then return answer.status == 200 and "no_json" or nil, nil, answer.status == 200 end
  if said.ok then return nil end
  local more = type(said.response_metadata) == "table" and type(said.response_metadata.messages) == "table" and table.concat(said.response_metadata.messages, "; ")
  return said.error, tostring(said.error) .. (more and more ~= "" and " (" .. more .. ")" or ""), busy[said.error]
end

function M.read(client, answer)
  local said = answer.json
  local message = type(said.message) == "table" and said.message or {}
  return {id = said.ts, channel = said.channel, thread = message.thread_ts or said.ts}
end

return M
