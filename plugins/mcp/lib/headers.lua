-- What a request to an MCP server says of itself in its headers (streamable HTTP, revision 2026-07-28).
local M = {}

-- A header holds visible ASCII; whatever else a value is goes as base64, between markers.
function M.value(ctx, value)
  local text = math.type(value) == "integer" and string.format("%d", value) or tostring(value)
  local is_plain = text:find("^[\x21-\x7e]") and text:find("[\x21-\x7e]$") and not text:find("[^\t\x20-\x7e]")
  local is_marked = text:sub(1, 9) == "=?base64?" and text:sub(-2) == "?="
  if is_plain and not is_marked then return text end
  return "=?base64?" .. ctx.base64(text) .. "?="
end

-- Fields of the arguments that a tool wants as headers, too: those with x-mcp-header in its schema.
local function add_fields(ctx, schema, arguments, headers)
  if type(schema) ~= "table" or type(schema.properties) ~= "table" then return end
  for name, property in pairs(schema.properties) do
    local value = type(arguments) == "table" and arguments[name]
    local header = type(property) == "table" and property["x-mcp-header"]
    if type(header) == "string" and (type(value) == "string" or type(value) == "boolean" or math.type(value) == "integer") then
      headers["Mcp-Param-" .. header] = M.value(ctx, value)
    elseif type(value) == "table" then
      add_fields(ctx, property, value, headers)
    end
  end
end

function M.of_arguments(ctx, tools, params)
  local headers = {}
  for _, tool in ipairs(tools) do
    if tool.name == params.name then add_fields(ctx, tool.inputSchema, params.arguments, headers) end
  end
  return headers
end

return M
