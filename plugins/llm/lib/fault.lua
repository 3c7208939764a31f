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

-- A provider's answer that is no answer of a model. text: its body; kind: what the provider calls it.
function M.of_status(status, kind, message, after)
  kind = kind or ""
  local class = "request"
  if status == 429 then
    class = kind == "insufficient_quota" and "auth" or "rate"
  elseif status == 401 or status == 402 or status == 403 then
    class = "auth"
  elseif status == 404 then
    class = "model"
  elseif status == 413 or kind == "context_length_exceeded" or message:find("prompt is too long", 1, true) then
    class = "context"
  elseif status == 408 or status == 409 or status >= 500 then
    class = "overloaded"
  end
  M.raise(class, string.format("%d %s", status, message), after)
end

return M
