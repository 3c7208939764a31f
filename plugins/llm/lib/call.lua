-- One call of one model, with its budget before and its usage behind; and a chain of models that take over from each other.
local fault = require "fault"
local prices = require "prices"
local adapters = {openai = "openai_responses", ["openai-chat"] = "openai_chat", anthropic = "anthropic"}
local M = {}

local BYTES_PER_TOKEN = 3 -- few texts have less
local IDLE = "120s"       -- a model that thinks so long without a word has gone

-- Thousands of calls wait at once: each has only what speaks to its own provider.
function M.adapter(target)
  return require(adapters[target.provider.api])
end

function M.name_of(target)
  return target.provider.name .. "/" .. target.model
end

-- url and headers of a request to the target.
function M.address(ctx, target, path)
  local adapter, provider = M.adapter(target), target.provider
  local base = (provider.base_url or adapter.base_url):gsub("/+$", "")
  return base .. path, adapter.headers(provider.key and ctx.secret(provider.key))
end

local function begin(ctx, target, estimate, budget)
  local price = prices.of(ctx.config, target)
  local call = ctx.usage.begin{
    provider = target.provider.name, model = target.model, input_tokens = estimate.input, output_tokens = estimate.output,
    cost = prices.cost(price, estimate), budget = budget,
  }
  return call, price
end

-- Runs read(first), metered. A provider that says no takes nothing for it; where the answer breaks off nobody knows what it takes.
function M.metered(ctx, target, estimate, budget, read)
  local call, price = begin(ctx, target, estimate, budget)
  local started, first_ms = ctx.now(), nil
  local shown = ""
  local function first(text)
    first_ms = first_ms or ctx.now() - started
    if type(text) ~= "string" then return end
    shown = (shown .. text):sub(-150)
    ctx.progress(shown)
  end
  local ok, result = pcall(read, first)
  if not ok then
    local why = type(result) == "table" and result.fault
    if why and why ~= "stream" and (why ~= "refused" or result.is_unpaid) then ctx.usage.finish(call, {cost = 0, took_ms = ctx.now() - started}) end
    error(result)
  end
  local usage = result.usage or {}
  usage.input = usage.input or estimate.input
  usage.output = usage.output or math.ceil(#(result.text or "") / BYTES_PER_TOKEN)
  usage.cost = prices.cost(price, usage)
  ctx.usage.finish(call, {
    input_tokens = usage.input, output_tokens = usage.output, cached_tokens = usage.cached, cost = usage.cost, first_ms = first_ms,
    took_ms = ctx.now() - started,
  })
  result.usage, result.first_ms = usage, first_ms
  return result
end

function M.estimate_text(bytes)
  return math.ceil(bytes / BYTES_PER_TOKEN)
end

-- request: system, messages, max_tokens, temperature, schema, is_strict, tools, options (of the provider, as they are)
function M.chat(ctx, target, request, budget)
  local adapter = M.adapter(target)
  local url, headers = M.address(ctx, target, adapter.path)
  local asked = {}
  for key, value in pairs(request) do asked[key] = value end
  asked.model, asked.by, asked.is_vendor = target.model, M.name_of(target), not target.provider.base_url
  local body = adapter.body(ctx, asked)
  for key, value in pairs(request.options or {}) do body[key] = value end
  local estimate = {input = M.estimate_text(#ctx.json.encode(body)), output = request.max_tokens}
  local result = M.metered(ctx, target, estimate, budget, function(first)
    return adapter.read(ctx, {url = url, headers = headers, json = body, idle = request.idle or IDLE}, first)
  end)
  if result.finish == "refused" then fault.raise("refused", "the provider's filter held the answer back") end
  return result
end

-- As a failure of the step.
local function give_up(ctx, why)
  local class = fault.classes[why.fault]
  local told = {code = class[1], message = why.message}
  if not class[2] then error(ctx.fail(told)) end
  told.after = why.after
  error(ctx.retry(told))
end

-- Asks one target after the other until one has answered; on: classes of faults that the next one may take over.
-- ask(target) → result. Returns it, its target, and [{model, code, message}] of those before it.
function M.chain(ctx, targets, on, ask)
  local passed, takes_over = {}, {}
  for _, class in ipairs(on) do takes_over[class] = true end
  for i, target in ipairs(targets) do
    local ok, result = pcall(ask, target)
    if ok then return result, target, passed end
    local why = fault.of(result)
    if not why then
      local code = type(result) == "table" and result.code
      if code == "budget.spent" or code == "budget.price" then error(ctx.fail{code = "llm.budget", message = result.message}) end
      error(result)
    end
    if i == #targets or not takes_over[why.fault] then give_up(ctx, why) end
    ctx.log.warn(string.format("%s/%s: %s: the next model takes over", target.provider.name, target.model, why.message))
    passed[i] = {model = M.name_of(target), code = fault.classes[why.fault][1], message = why.message}
  end
end

return M
