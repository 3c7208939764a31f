-- Answers of a form: a JSON Schema that is sent in the provider's way, and holds for what comes back, whoever promised it.
local M = {}

local checked = {type = true, enum = true, const = true, required = true, properties = true, additionalProperties = true, items = true, minimum = true,
                 maximum = true, minLength = true, maxLength = true, minItems = true, maxItems = true, anyOf = true}
local told = {title = true, description = true, examples = true, default = true, ["$schema"] = true, ["$id"] = true, ["$comment"] = true, format = true}

local function each_below(schema, visit)
  for name, property in pairs(schema.properties or {}) do visit(property, "properties." .. name) end
  if type(schema.items) == "table" then visit(schema.items, "items") end
  for i, one in ipairs(schema.anyOf or {}) do visit(one, "anyOf[" .. i .. "]") end
end

-- What is wrong with the schema itself, or nil: a keyword that is not looked at must not look as if it were.
function M.fault(schema, path)
  path = path or "schema"
  if type(schema) ~= "table" then return path .. " is no schema" end
  for key in pairs(schema) do
    if not checked[key] and not told[key] then return string.format("%s: the keyword '%s' is not supported", path, key) end
  end
  if path == "schema" and schema.type ~= "object" then return "schema: its outermost type must be object" end
  local found
  each_below(schema, function(inner, name) found = found or M.fault(inner, path .. "." .. name) end)
  return found
end

-- As it is sent: objects hold what is named and nothing else, which providers want to be told.
local function closed(schema)
  local out = {}
  for key, value in pairs(schema) do out[key] = value end
  if schema.properties then
    out.properties = {}
    for name, property in pairs(schema.properties) do out.properties[name] = closed(property) end
    if out.additionalProperties == nil then out.additionalProperties = false end
  end
  if type(schema.items) == "table" then out.items = closed(schema.items) end
  if schema.anyOf then
    out.anyOf = {}
    for i, one in ipairs(schema.anyOf) do out.anyOf[i] = closed(one) end
  end
  return out
end

-- Vendors want to know the type of everything, and what is in a list.
local function is_typed(schema)
  local kinds = type(schema.type) == "table" and schema.type or {schema.type}
  for _, kind in ipairs(kinds) do
    if kind == "array" and not schema.items then return false end
    if kind == "object" and not (schema.properties and schema.additionalProperties == false) then return false end
  end
  return #kinds > 0 or schema.anyOf ~= nil
end

-- Can it be said in their forms?
local function is_plain(schema)
  local plain = is_typed(schema)
  each_below(schema, function(inner) plain = plain and is_plain(inner) end)
  return plain
end

-- May a provider be asked to keep it to the letter? That wants every property to be required.
local function is_strict(schema)
  local strict, required = is_typed(schema), {}
  for _, name in ipairs(schema.required or {}) do required[name] = true end
  for name in pairs(schema.properties or {}) do strict = strict and required[name] or false end
  each_below(schema, function(inner) strict = strict and is_strict(inner) end)
  return strict
end

local silent = {["$schema"] = true, ["$id"] = true, ["$comment"] = true}
local formats = {["date-time"] = true, time = true, date = true, duration = true, email = true, hostname = true, ipv4 = true, ipv6 = true, uuid = true}
-- What vendors refuse, with status 400.
local refused = {
  anthropic = {minimum = true, maximum = true, minLength = true, maxLength = true, minItems = true, maxItems = true, examples = true},
  openai = {minLength = true, maxLength = true, default = true, examples = true},
}

-- Keywords that the vendor does not know stand in the description instead: the model reads them, and here they are checked.
local function narrowed(ctx, schema, refused_keys)
  local out, words = {}, {}
  for key, value in pairs(schema) do
    if refused_keys[key] or (key == "format" and not formats[value]) then
      words[#words + 1] = key .. ": " .. ctx.json.encode(value)
    elseif not silent[key] then
      out[key] = value
    end
  end
  if #words > 0 then
    table.sort(words)
    out.description = (schema.description and schema.description .. " " or "") .. "(" .. table.concat(words, ", ") .. ")"
  end
  if schema.properties then
    out.properties = {}
    for name, property in pairs(schema.properties) do out.properties[name] = narrowed(ctx, property, refused_keys) end
  end
  if type(schema.items) == "table" then out.items = narrowed(ctx, schema.items, refused_keys) end
  if schema.anyOf then
    out.anyOf = {}
    for i, one in ipairs(schema.anyOf) do out.anyOf[i] = narrowed(ctx, one, refused_keys) end
  end
  return out
end

-- As the provider wants it, and whether it is asked to keep it to the letter. nil: it can only be told in words.
function M.form(ctx, provider, schema)
  if provider.structured == "prompt" then return nil end
  local form = closed(schema)
  if provider.api == "anthropic" then return is_plain(form) and narrowed(ctx, form, refused.anthropic) or nil end
  local strict = is_strict(form)
  local is_openai = provider.api == "openai" or not provider.base_url -- others that speak like it take more
  if strict and is_openai then form = narrowed(ctx, form, refused.openai) end
  return form, strict
end

-- ---- does a value fit? ----

local function is_list(ctx, value)
  return #value > 0 or ctx.json.encode(value) == "[]"
end

local function type_of(ctx, value)
  if value == nil or value == ctx.json.null then return "null" end
  if type(value) == "table" then return is_list(ctx, value) and "array" or "object" end
  if type(value) == "number" then return math.tointeger(value) and "integer" or "number" end
  return type(value)
end

local function has_type(wanted, found)
  if type(wanted) == "table" then
    for _, one in ipairs(wanted) do
      if has_type(one, found) then return true end
    end
    return false
  end
  return wanted == nil or wanted == found or (wanted == "number" and found == "integer")
end

local function text_length(value)
  return utf8.len(value) or #value
end

local M_check

local function check_object(ctx, schema, value, path)
  for _, name in ipairs(schema.required or {}) do
    local property = (schema.properties or {})[name] or {}
    -- null in an object is absent here
    if value[name] == nil and not has_type(property.type, "null") then return path .. "/" .. name .. ": is missing" end
  end
  for name, inner in pairs(value) do
    local property = (schema.properties or {})[name]
    if not property and schema.additionalProperties == false then return path .. "/" .. tostring(name) .. ": is not in the schema" end
    if not property and type(schema.additionalProperties) == "table" then property = schema.additionalProperties end
    local wrong = property and M_check(ctx, property, inner, path .. "/" .. tostring(name))
    if wrong then return wrong end
  end
end

local function check_list(ctx, schema, value, path)
  if schema.minItems and #value < schema.minItems then return path .. ": has fewer than " .. schema.minItems .. " items" end
  if schema.maxItems and #value > schema.maxItems then return path .. ": has more than " .. schema.maxItems .. " items" end
  for i = 1, type(schema.items) == "table" and #value or 0 do
    local wrong = M_check(ctx, schema.items, value[i], path .. "/" .. (i - 1))
    if wrong then return wrong end
  end
end

local function check_scalar(schema, value, kind, path)
  if kind == "string" then
    if schema.minLength and text_length(value) < schema.minLength then return path .. ": is shorter than " .. schema.minLength end
    if schema.maxLength and text_length(value) > schema.maxLength then return path .. ": is longer than " .. schema.maxLength end
  elseif kind == "integer" or kind == "number" then
    if schema.minimum and value < schema.minimum then return path .. ": is less than " .. schema.minimum end
    if schema.maximum and value > schema.maximum then return path .. ": is more than " .. schema.maximum end
  end
end

local function is_one_of(ctx, list, value)
  local text = ctx.json.encode(value)
  for _, one in ipairs(list) do
    if ctx.json.encode(one) == text then return true end
  end
  return false
end

M_check = function(ctx, schema, value, path)
  local kind = type_of(ctx, value)
  if not has_type(schema.type, kind) then
    return string.format("%s: is of type %s, not %s", path, kind, type(schema.type) == "table" and table.concat(schema.type, " or ") or schema.type)
  end
  if schema.enum and not is_one_of(ctx, schema.enum, value) then return path .. ": is none of " .. ctx.json.encode(schema.enum) end
  if schema.const ~= nil and not is_one_of(ctx, {schema.const}, value) then return path .. ": is not " .. ctx.json.encode(schema.const) end
  for i, one in ipairs(schema.anyOf or {}) do
    if not M_check(ctx, one, value, path) then break end
    if i == #schema.anyOf then return path .. ": fits none of the forms that it may have" end
  end
  if kind == "object" then return check_object(ctx, schema, value, path) end
  if kind == "array" then return check_list(ctx, schema, value, path) end
  return check_scalar(schema, value, kind, path)
end

-- The value of a model's text, or nil and what is wrong with it. Models like to wrap JSON.
function M.read(ctx, schema, text)
  local body = text:match("^%s*```%w*%s*\n(.*)\n%s*```%s*$") or text
  local ok, value = pcall(ctx.json.decode, body)
  if not ok then return nil, "the answer is no JSON: " .. tostring(value):gsub("^.-:%d+: ", "") end
  local wrong = M_check(ctx, schema, value, "")
  if wrong then return nil, "the answer does not fit the schema: " .. wrong end
  return value
end

function M.instruction(ctx, schema)
  return "Answer with one JSON object and nothing else. It has to fit this JSON Schema:\n" .. ctx.json.encode(schema)
end

return M
