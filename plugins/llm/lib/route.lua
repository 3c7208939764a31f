-- Which model of which provider a step means, and who takes over.
local M = {}

local function provider_named(config, name)
  for _, provider in ipairs(config.providers) do
    if provider.name == name then return provider end
  end
end

local function names(list)
  local out = {}
  for i, item in ipairs(list) do out[i] = item.name end
  return #out > 0 and table.concat(out, ", ") or "none"
end

-- "PROVIDER/MODEL", or a model of the first provider. Models have slashes in their names too.
local function target_of(ctx, config, text)
  local before, rest = text:match("^([^/]+)/(.+)$")
  local provider = before and provider_named(config, before)
  if provider then return {provider = provider, model = rest} end
  if config.providers[1] then return {provider = config.providers[1], model = text} end
  error(ctx.fail{code = "llm.model", message = "no provider is configured: write configure: {llm: {providers: [{name: main, api: openai, key: {secret: LLM_KEY}}]}} into bellwire.yaml"})
end

local function alias_named(config, name)
  for _, alias in ipairs(config.models) do
    if alias.name == name then return alias end
  end
end

-- All that may be asked, in their order, each once. A short name brings its own fallback with it.
function M.targets(ctx, model, fallback)
  local config, out, seen = ctx.config, {}, {}
  model = model or config.default
  if not model then
    error(ctx.fail{code = "llm.model", message = "which model? Give the step a `model`, or the configuration of llm a `default` (models: " .. names(config.models) .. ")"})
  end
  local function add(text, depth)
    if seen[text] or depth > 16 then return end
    seen[text] = true
    local alias = alias_named(config, text)
    out[#out + 1] = target_of(ctx, config, alias and alias.model or text)
    for _, next_one in ipairs(alias and alias.fallback or {}) do add(next_one, depth + 1) end
  end
  add(model, 1)
  for _, text in ipairs(fallback or {}) do add(text, 1) end
  return out
end

return M
