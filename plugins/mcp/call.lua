local client = require "client"

-- What a reader, and a language model, make of the content: its texts.
local function text_of(content)
  local texts = {}
  for _, part in ipairs(content) do
    if part.type == "text" then texts[#texts + 1] = part.text end
  end
  return table.concat(texts, "\n")
end

return action {
  name = "mcp/call", version = "1.0.0", effect = "write", timeout = "2m",
  doc = "Call a tool of an MCP server.",
  inputs = {
    server = {type = "string", required = true, doc = "one of configure: {mcp: {servers: …}}"},
    tool = {type = "string", required = true},
    arguments = {type = "object", default = {}, doc = "as the tool's schema has them: mcp/tools lists it"},
  },
  outputs = {
    text = {type = "string", required = true, doc = "the texts of the content, a line break between them"},
    structured = {type = "any", doc = "what tools with an output schema give"},
    content = {type = "array", required = true, doc = "all parts, as the server has sent them"},
  },
  run = function(ctx, input)
    local result = client.ask(ctx, input.server, "tools/call", {
      name = input.tool, arguments = input.arguments, _meta = {["bellwire/idempotencyKey"] = ctx.idempotency_key},
    })
    local content = type(result.content) == "table" and result.content or {}
    local text = text_of(content)
    if result.resultType == "input_required" then
      return ctx.fail{code = "mcp.input_required", message = "the tool " .. input.tool .. " asks its caller for input, which a step has no one to ask for"}
    elseif result.isError then
      return ctx.fail{code = "mcp.tool_failed", message = text ~= "" and text or "the tool " .. input.tool .. " failed, and does not say why"}
    end
    return {text = text, structured = result.structuredContent, content = ctx.json.array(content)}
  end,
}
