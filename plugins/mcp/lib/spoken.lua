-- What is said in the same words over HTTP and to programs.
local M = {VERSION = "2026-07-28", BEFORE = "2025-11-25", ME = {name = "bellwire", version = "1.0.0"}}

local PAGES_MAX = 100

function M.fail(ctx, code, message)
  error(ctx.fail{code = "mcp." .. code, message = message})
end

-- A request of today says all there is to know.
function M.with_meta(params)
  local filled, meta = {}, {}
  for name, value in pairs(params) do filled[name] = value end
  for name, value in pairs(params._meta or {}) do meta[name] = value end
  meta["io.modelcontextprotocol/protocolVersion"] = M.VERSION
  meta["io.modelcontextprotocol/clientInfo"] = M.ME
  meta["io.modelcontextprotocol/clientCapabilities"] = {}
  filled._meta = meta
  return filled
end

-- page: asks for the one that `cursor` of its params names.
function M.list_tools(ctx, server, page)
  local tools, cursor = {}, nil
  for _ = 1, PAGES_MAX do
    local result = page{cursor = cursor}
    for _, tool in ipairs(result.tools or {}) do tools[#tools + 1] = tool end
    cursor = result.nextCursor
    if not cursor then return tools end
  end
  M.fail(ctx, "too_many_tools", server .. ": the list of tools has more than " .. PAGES_MAX .. " pages")
end

return M
