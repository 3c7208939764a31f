local client = require "client"
return action {
  name = "mcp/tools", version = "1.0.0", effect = "read", timeout = "1m",
  doc = "The tools that an MCP server has, with the schemas of their arguments.",
  inputs = {server = {type = "string", required = true, doc = "one of configure: {mcp: {servers: …}}"}},
  outputs = {tools = {type = "array", required = true, doc = "name, description, inputSchema, …, as the server has sent them"}},
  run = function(ctx, input)
    return {tools = ctx.json.array(client.tools(ctx, input.server))}
  end,
}
