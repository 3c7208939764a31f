-- What the adapters share: a request that is streamed, and the provider's words for "later".
local fault = require "fault"
local M = {}

local TEXT_MAX = 65536 -- of an answer that is an error

-- When it may be asked again: what the answer says, or when the later of the limits that it names is there as a whole.
local function retry_after(headers, message)
  local ms = tonumber(headers["retry-after-ms"] or "")
  if ms then return ms / 1000 end
  if headers["retry-after"] then return headers["retry-after"] end
  local latest = fault.told_seconds(message)
  if latest then return latest end
  for _, name in ipairs{"x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"} do
    local seconds = fault.seconds_of(headers[name])
    if seconds and (not latest or seconds > latest) then latest = seconds end
  end
  return latest
end

-- The names of an error as providers tell it, its message behind them. Some have a status for a code.
function M.names_of(told)
  local names = {}
  for _, name in ipairs{told.code or "", told.type or ""} do
    if name ~= "" then names[#names + 1] = tostring(name) end
  end
  return names, tostring(told.message or "")
end

local function error_of(ctx, text)
  local ok, body = pcall(ctx.json.decode, text)
  local told = ok and type(body) == "table" and body.error
  if type(told) == "table" then
    local names, message = M.names_of(told)
    return tonumber(names[1]) and names[2] or names[1], message
  end
  if type(told) == "string" then return "", told end
  return "", (text:gsub("%c+", " "):sub(1, 300))
end

function M.fail(ctx, answer)
  local parts, size = {}, 0
  for chunk in answer.read do
    parts[#parts + 1] = chunk
    size = size + #chunk
    if size > TEXT_MAX then break end
  end
  answer.close()
  local kind, message = error_of(ctx, table.concat(parts))
  fault.of_status(answer.status, kind, message, retry_after(answer.headers, message))
end

-- The data of an event, decoded. What cannot be is no answer of a model.
function M.decode(ctx, text)
  local ok, value = pcall(ctx.json.decode, text)
  if not ok or type(value) ~= "table" then fault.raise("stream", "the stream holds something that is no JSON object: " .. text:sub(1, 80)) end
  return value
end

-- Sends the request, and gives each event of the answer to take(event), which returns true at the last one.
function M.stream(ctx, request, take)
  local answer = ctx.http{
    method = "POST", url = request.url, headers = request.headers, json = request.json, stream = true,
    timeout = request.timeout, idle = request.idle,
  }
  if answer.status ~= 200 then M.fail(ctx, answer) end
  for event in answer.events() do
    ctx.heartbeat()
    if take(event) then return end
  end
  fault.raise("stream", "the answer ended before the model had said its last word")
end

-- An answer that is one JSON value.
function M.whole(ctx, request)
  local answer = ctx.http{method = "POST", url = request.url, headers = request.headers, json = request.json, stream = true, timeout = request.timeout}
  if answer.status ~= 200 then M.fail(ctx, answer) end
  local parts = {}
  for chunk in answer.read do parts[#parts + 1] = chunk end
  return M.decode(ctx, table.concat(parts))
end

return M
