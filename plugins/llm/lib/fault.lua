-- What can go wrong with a call, by class: which classes another model may take over, and which are tried again.
local M = {}

-- class → {code, is it transient?}
M.classes = {
  rate = {"llm.rate", true},              -- the provider wants to be asked later
  overloaded = {"llm.overloaded", true},  -- it cannot now
  network = {"llm.network", true},
  timeout = {"llm.timeout", true},
  stream = {"llm.stream", true},          -- its answer broke off, or is none
  model = {"llm.model", false},           -- there is no such model, or it cannot do that
  context = {"llm.context", false},       -- more text than the model takes
  length = {"llm.length", false},         -- the answer was cut at max_tokens
  schema = {"llm.schema", false},
  refused = {"llm.refused", false},
  auth = {"llm.auth", false},
  request = {"llm.request", false},       -- the provider does not take what was sent
}

function M.raise(class, message, after)
  error({fault = class, message = message, after = after})
end

-- What was raised, as {fault, message, after}; nil: it is not for us (a bug, the end of the step, a budget).
function M.of(why)
  if type(why) ~= "table" then return nil end
  if why.fault then return why end
  if why.code == "http.timeout" then return {fault = "timeout", message = why.message} end
  if why.code == "http.network" then return {fault = "network", message = why.message} end
  return nil
end

local codes = { -- that say more than the status
  insufficient_quota = "auth", billing_error = "auth", billing_hard_limit_reached = "auth",
  model_not_found = "model",
  context_length_exceeded = "context", exceed_context_size_error = "context",
  invalid_prompt = "refused", content_filter = "refused", content_policy_violation = "refused", bio_policy = "refused", image_content_policy_violation = "refused",
}
local words = { -- of those that have a code for anything
  ["prompt is too long"] = "context", ["exceed context limit"] = "context", ["maximum context length"] = "context", ["maximum model length"] = "context",
  ["credit balance is too low"] = "auth",
}

local function class_of(status, code, message)
  if codes[code] then return codes[code] end
  if status == 400 then
    for text, class in pairs(words) do
      if message:find(text, 1, true) then return class end
    end
  end
  if status == 429 then return "rate" end
  if status == 401 or status == 402 or status == 403 then return "auth" end
  if status == 404 then return "model" end
  if status == 413 then return "context" end
  if status == 408 or status == 409 or status >= 500 then return "overloaded" end
  return "request"
end

-- A provider's answer that is no answer of a model. code: what the provider calls it. Nothing is paid for it.
function M.of_status(status, code, message, after)
  error({fault = class_of(status, code, message), message = string.format("%d %s", status, message), after = after, is_unpaid = true})
end

local statuses = { -- as the same error has outside of a stream
  rate_limit_exceeded = 429, rate_limit_error = 429, insufficient_quota = 429, overloaded_error = 529, authentication_error = 401, billing_error = 402,
  permission_error = 403, not_found_error = 404, request_too_large = 413, timeout_error = 504, api_error = 500, invalid_request_error = 400,
  context_length_exceeded = 400, bio_policy = 400,
}

-- "1s", "6m0s", "20ms", "7" → seconds
function M.seconds_of(text)
  if not text then return nil end
  if tonumber(text) then return tonumber(text) end
  local total, found = 0, false
  for number, unit in text:gmatch("([%d.]+)(%a+)") do
    local scale = ({h = 3600, m = 60, s = 1, ms = 0.001})[unit]
    if not scale or not tonumber(number) then return nil end
    total, found = total + tonumber(number) * scale, true
  end
  return found and total or nil
end

-- What an error says in words, as OpenAI's do.
function M.told_seconds(message)
  return M.seconds_of(message:match("try again in ([%d.hms]+[hms])"))
end

-- An error where an answer has begun already. names: of the error, the most telling one first.
function M.of_stream(names, message)
  for _, name in ipairs(names) do
    local status = math.tointeger(tonumber(name)) or statuses[name] or (name:find("^invalid_") and 400)
    if status then M.of_status(status, name, message, M.told_seconds(message)) end
  end
  M.of_status(500, names[1], message)
end

return M
