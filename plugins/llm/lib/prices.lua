-- What models cost: US dollars for a million tokens, without tax, for requests that are neither batched nor in a long-context tier.
--   OpenAI     2026-04-30, openai.com/api/pricing, as that day's comparison at tokenmix.ai/blog/llm-api-pricing-comparison quotes it
--   Anthropic  2026-10, platform.claude.com/docs/en/about-claude/pricing and the pages of the models there. claude-haiku-5-5 is not here: what it costs
--              depends on the length of the prompt
-- Prices change, and a contract may have others: `prices` in the configuration goes before these. They hold for the vendors' own addresses alone; behind
-- another base_url a price is known only if it is configured.
local M = {}

M.known = {
  ["gpt-5.5"] = {input = 5, cached = 0.5, output = 30},
  ["gpt-5.4"] = {input = 2.5, cached = 0.25, output = 15},
  ["gpt-5.4-mini"] = {input = 0.75, cached = 0.075, output = 4.5},
  ["claude-fable-5-1"] = {input = 10, cached = 0.25, output = 50},
  ["claude-fable-5"] = {input = 10, cached = 1, output = 50},
  ["claude-opus-5-5"] = {input = 4, cached = 0.2, output = 20},
  ["claude-opus-5"] = {input = 5, cached = 0.5, output = 25},
  ["claude-opus-4-8"] = {input = 5, cached = 0.5, output = 25},
  ["claude-opus-4-7"] = {input = 5, cached = 0.5, output = 25},
  ["claude-opus-4-6"] = {input = 5, cached = 0.5, output = 25},
  ["claude-sonnet-5-5"] = {input = 2, cached = 0.1, output = 10},
  ["claude-sonnet-5"] = {input = 2, cached = 0.2, output = 10},
  ["claude-sonnet-4-6"] = {input = 3, cached = 0.3, output = 15},
  ["claude-haiku-4-5"] = {input = 1, cached = 0.1, output = 5},
}

-- nil: nobody knows.
function M.of(config, target)
  for _, price in ipairs(config.prices) do
    if price.model == target.provider.name .. "/" .. target.model or price.model == target.model then return price end
  end
  if target.provider.base_url then return nil end
  local name = target.model
  return M.known[name] or M.known[name:gsub("%-%d%d%d%d%-?%d%d%-?%d%d$", "")] -- a dated version
end

local CACHE_WRITE, CACHE_KEPT = 1.25, 2 -- of the price of the input: for five minutes, for an hour

-- Millionths of the currency: tokens times the price of a million.
function M.cost(price, usage)
  if not price then return nil end
  local cached, written, kept = usage.cached or 0, usage.written or 0, usage.kept or 0
  local plain = math.max((usage.input or 0) - cached - written, 0)
  local stored = (written - kept) * CACHE_WRITE + kept * CACHE_KEPT
  return math.ceil(plain * price.input + cached * (price.cached or price.input) + stored * price.input + (usage.output or 0) * (price.output or 0))
end

return M
