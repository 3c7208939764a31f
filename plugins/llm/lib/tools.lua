local consent = require "consent"

-- Actions and workflows as tools of a model: their inputs as a JSON Schema, and the names that models may use.
local M = {}

local types = {string = true, integer = true, number = true, boolean = true, object = true, array = true}

-- A field of an action's inputs, as JSON Schema.
local function schema_of(field)
  local out = {type = types[field.type or ""] and field.type or nil, description = field.doc, enum = field.enum, minimum = field.min, maximum = field.max,
               format = field.format, maxItems = field.max_items, maxLength = field.max_length}
  if field.type == "array" then out.items = schema_of(field.items or {}) end -- OpenAI wants to be told, even nothing
  if field.properties then
    local inner = M.object_of(field.properties)
    out.properties, out.required = inner.properties, inner.required
  end
  return out
end

function M.object_of(fields)
  local out, required = {type = "object", properties = {}}, {}
  for name, field in pairs(fields) do
    out.properties[name] = schema_of(field)
    if field.required and field.default == nil then required[#required + 1] = name end
  end
  table.sort(required)
  if #required > 0 then out.required = required end
  return out
end

-- The step's `tools`: texts, or {uses, approve}. Each as {name, uses, doc, schema, effect, approve}; what is neither action nor workflow is an error of
-- the step.
function M.offered(ctx, list, approval)
  local out, by_name = {}, {}
  for _, entry in ipairs(list) do
    local uses = type(entry) == "table" and entry.uses or entry
    if type(uses) ~= "string" then error(ctx.fail{code = "llm.tool", message = "a tool is an action or a workflow, such as crm/find@1, workflow/enrich-lead or {uses: crm/upsert@1, approve: true}"}) end
    local offer, why = ctx.part.offer(uses)
    if not offer then error(ctx.fail{code = "llm.tool", message = "tools: " .. why}) end
    local tool = {
      name = uses:gsub("@.*$", ""):gsub("[^%w_-]", "_"):sub(1, 64), uses = uses, doc = offer.doc, effect = offer.effect or "write",
      is_workflow = uses:sub(1, 9) == "workflow/",
      schema = M.object_of(offer.inputs or {}), approve = consent.settings(ctx, uses, type(entry) == "table" and entry.approve, approval),
    }
    if by_name[tool.name] then error(ctx.fail{code = "llm.tool", message = "tools: " .. uses .. " and " .. by_name[tool.name].uses .. " look the same to a model"}) end
    by_name[tool.name] = tool
    out[#out + 1] = tool
  end
  return out, by_name
end

return M
