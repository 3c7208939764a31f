local call = require "call"
local fault = require "fault"
local route = require "route"

return action {
  name = "llm/embed", version = "1.0.0", doc = "Vectors of texts.", effect = "write", timeout = "5m", limit = "llm",
  inputs = {
    texts = {type = "array", items = {type = "string"}, required = true, max_items = 2048},
    model = {type = "string", doc = "a short name of the configuration, MODEL, or PROVIDER/MODEL"},
    fallback = {type = "array", items = {type = "string"}, default = {}, doc = "models that take over; their vectors are not comparable with the first one's"},
    dimensions = {type = "integer", min = 1, max = 65536},
    budget = {
      type = "object", doc = "what this step may take, over all its attempts",
      properties = {calls = {type = "integer", min = 0}, tokens = {type = "integer", min = 0}, money = {type = "number", min = 0}, seconds = {type = "number", min = 0}},
    },
  },
  outputs = {vectors = {type = "array", required = true}, model = {type = "string"}, provider = {type = "string"}, usage = {type = "object"}},
  run = function(ctx, input)
    if #input.texts == 0 then return {vectors = ctx.json.array{}, usage = {calls = 0, input_tokens = 0, cost = 0}} end
    local targets = route.targets(ctx, input.model, input.fallback)
    local result, target = call.chain(ctx, targets, {"rate", "overloaded", "network", "timeout", "model"}, function(target)
      local adapter = call.adapter(target)
      if not adapter.embed then fault.raise("model", target.provider.name .. " has no models that make vectors") end
      local url, headers = call.address(ctx, target, adapter.embed_path)
      local bytes = 0
      for _, text in ipairs(input.texts) do bytes = bytes + #text end
      return call.metered(ctx, target, {input = call.estimate_text(bytes) + #input.texts, output = 0}, input.budget, function()
        return adapter.embed(ctx, {url = url, headers = headers, model = target.model, texts = input.texts, dimensions = input.dimensions})
      end)
    end)
    local usage = result.usage
    return {
      vectors = result.vectors, model = target.model, provider = target.provider.name,
      usage = {calls = 1, input_tokens = usage.input, total_tokens = usage.input, cost = usage.cost and usage.cost / 1e6 or nil},
    }
  end,
}
