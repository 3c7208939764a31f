local call = require "call"
local fault = require "fault"
local route = require "route"

local RAW_MAX = 300 -- of an answer, in an error

-- What the step says, as messages.
local function messages_of(ctx, input)
  local messages = {}
  for i, message in ipairs(input.messages) do messages[i] = {role = message.role, content = message.content} end
  if input.prompt then messages[#messages + 1] = {role = "user", content = input.prompt} end
  if #messages == 0 then error(ctx.fail{code = "llm.request", message = "there is nothing to say: give `prompt` or `messages`"}) end
  return messages
end

-- Asks, and asks again with what was wrong, until the answer fits.
local function ask(ctx, input, target, total)
  local request = {
    system = input.system, messages = messages_of(ctx, input), max_tokens = input.max_tokens, temperature = input.temperature,
    options = input.options, idle = input.idle,
  }
  local structure = input.schema and require "structure"
  if input.schema then
    request.schema, request.is_strict = structure.form(ctx, target.provider, input.schema)
    if not request.schema then request.system = (input.system and input.system .. "\n\n" or "") .. structure.instruction(ctx, input.schema) end
  end
  for round = 0, input.repair do
    local result = call.chat(ctx, target, request, input.budget)
    total.add(result)
    if not input.schema then return result end
    if result.finish == "length" then fault.raise("length", "the answer was cut at max_tokens (" .. input.max_tokens .. ") before its JSON was whole") end
    local wrong
    result.data, wrong = structure.read(ctx, input.schema, result.text)
    if result.data ~= nil then return result end
    if round == input.repair then
      fault.raise("schema", wrong .. "; the answer was: " .. result.text:sub(1, RAW_MAX))
    end
    request.messages[#request.messages + 1] = {role = "assistant", content = result.text == "" and "{}" or result.text}
    request.messages[#request.messages + 1] = {role = "user", content = wrong .. "\nAnswer with the corrected JSON only."}
  end
end

-- Sums over all calls of the step.
local function new_total()
  local total = {calls = 0, input_tokens = 0, output_tokens = 0, cached_tokens = 0, cost = 0}
  function total.add(result)
    local usage = result.usage
    total.calls = total.calls + 1
    total.input_tokens = total.input_tokens + usage.input
    total.output_tokens = total.output_tokens + usage.output
    total.cached_tokens = total.cached_tokens + (usage.cached or 0)
    total.cost = usage.cost and total.cost and total.cost + usage.cost
    total.first_ms = total.first_ms or result.first_ms
  end
  return total
end

return action {
  name = "llm/chat", version = "1.0.0", doc = "Asks a language model.", effect = "write", timeout = "10m", limit = "llm",
  inputs = {
    prompt = {type = "string", doc = "what the user says; behind `messages`, if there are some"},
    system = {type = "string", doc = "what the model is told to be"},
    messages = {
      type = "array", default = {}, doc = "a talk so far",
      items = {type = "object", properties = {role = {type = "string", enum = {"user", "assistant"}, required = true}, content = {type = "string", required = true}}},
    },
    model = {type = "string", doc = "a short name of the configuration, MODEL, or PROVIDER/MODEL"},
    fallback = {type = "array", items = {type = "string"}, default = {}, doc = "models that take over, in this order"},
    fallback_on = {
      type = "array", default = {"rate", "overloaded", "network", "timeout", "stream", "model", "context", "schema"},
      items = {type = "string", enum = {"rate", "overloaded", "network", "timeout", "stream", "model", "context", "length", "schema", "refused", "auth", "request"}},
      doc = "what has to go wrong for that",
    },
    schema = {type = "object", doc = "JSON Schema of the answer, which is then `data`"},
    repair = {type = "integer", min = 0, max = 5, default = 2, doc = "how often an answer that does not fit is sent back"},
    max_tokens = {type = "integer", min = 1, max = 200000, default = 4096, doc = "of the answer"},
    temperature = {type = "number", min = 0, max = 2},
    idle = {type = "string", doc = "how long the model may say nothing; default 120s"},
    budget = {
      type = "object", doc = "what this step may take, over all its attempts",
      properties = {calls = {type = "integer", min = 0}, tokens = {type = "integer", min = 0}, money = {type = "number", min = 0}, seconds = {type = "number", min = 0}},
    },
    options = {type = "object", doc = "more for the provider's request, as its documents have it"},
  },
  outputs = {
    text = {type = "string", required = true}, data = {type = "object"}, finish = {type = "string"}, model = {type = "string"},
    provider = {type = "string"}, first_token_ms = {type = "integer"}, usage = {type = "object"}, passed = {type = "array"},
  },
  run = function(ctx, input)
    local wrong = input.schema and require("structure").fault(input.schema)
    if wrong then return ctx.fail{code = "llm.schema", message = wrong} end
    local total = new_total()
    local result, target, passed = call.chain(ctx, route.targets(ctx, input.model, input.fallback), input.fallback_on,
      function(target) return ask(ctx, input, target, total) end)
    return {
      text = result.text, data = result.data, finish = result.finish, model = target.model, provider = target.provider.name,
      first_token_ms = total.first_ms, passed = ctx.json.array(passed),
      usage = {
        calls = total.calls, input_tokens = total.input_tokens, output_tokens = total.output_tokens, cached_tokens = total.cached_tokens,
        total_tokens = total.input_tokens + total.output_tokens, cost = total.cost and total.cost / 1e6 or nil,
      },
    }
  end,
}
