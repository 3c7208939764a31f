-- Anthropic Messages.
local fault = require "fault"
local wire = require "wire"
local M = {base_url = "https://api.anthropic.com/v1", path = "/messages"}

function M.headers(key)
  return {["x-api-key"] = key, ["anthropic-version"] = "2023-06-01"}
end

local function arguments_of(ctx, text)
  local ok, value = pcall(ctx.json.decode, text)
  return ok and type(value) == "table" and value or {}
end

local function content_of(ctx, message)
  if message.role == "tool" then
    return {{type = "tool_result", tool_use_id = message.call, content = message.content, is_error = message.is_error}}
  end
  if not message.tool_calls then return message.content end
  local content = {}
  if message.content ~= "" then content[1] = {type = "text", text = message.content} end
  for _, call in ipairs(message.tool_calls) do
    content[#content + 1] = {type = "tool_use", id = call.id, name = call.name, input = arguments_of(ctx, call.arguments)}
  end
  return content
end

-- Results of tools are said by the user, those of one turn in one message.
local function messages_of(ctx, messages)
  local out = {}
  for _, message in ipairs(messages) do
    local last = out[#out]
    if message.role == "tool" and last and last.has_results then
      last.content[#last.content + 1] = content_of(ctx, message)[1]
    else
      out[#out + 1] = {role = message.role == "tool" and "user" or message.role, content = content_of(ctx, message), has_results = message.role == "tool"}
    end
  end
  for _, message in ipairs(out) do message.has_results = nil end
  return out
end

function M.body(ctx, request)
  local body = {
    model = request.model, system = request.system, messages = messages_of(ctx, request.messages), max_tokens = request.max_tokens,
    temperature = request.temperature, stream = true,
  }
  if request.schema then body.output_config = {format = {type = "json_schema", schema = request.schema}} end
  if request.tools then
    body.tools = {}
    for i, tool in ipairs(request.tools) do body.tools[i] = {name = tool.name, description = tool.doc, input_schema = tool.schema} end
  end
  return body
end

local finishes = {end_turn = "stop", stop_sequence = "stop", max_tokens = "length", tool_use = "tools", refusal = "refused", pause_turn = "stop",
                  model_context_window_exceeded = "length"}

-- Of the input only what is neither read from the cache nor written to it is in input_tokens.
local function add_usage(result, usage)
  if type(usage) ~= "table" then return end
  local sum = result.usage or {read = 0, written = 0, plain = 0, output = 0}
  sum.plain = usage.input_tokens or sum.plain
  sum.read = usage.cache_read_input_tokens or sum.read
  sum.written = usage.cache_creation_input_tokens or sum.written
  sum.output = usage.output_tokens or sum.output
  sum.input, sum.cached = sum.plain + sum.read + sum.written, sum.read
  result.usage = sum
end

function M.read(ctx, request, first)
  local text, blocks, result = {}, {}, {tool_calls = {}}
  wire.stream(ctx, request, function(event)
    if event.event == "ping" then return false end
    local said = wire.decode(ctx, event.data)
    local kind, block = said.type, blocks[said.index or -1]
    if kind == "message_start" then
      add_usage(result, (said.message or {}).usage)
    elseif kind == "content_block_start" then
      blocks[said.index or 0] = {kind = (said.content_block or {}).type, id = said.content_block.id, name = said.content_block.name, json = {}}
    elseif kind == "content_block_delta" and block then
      local delta = said.delta or {}
      first(delta.text)
      if delta.type == "text_delta" then text[#text + 1] = delta.text end
      if delta.type == "input_json_delta" then block.json[#block.json + 1] = delta.partial_json end
    elseif kind == "content_block_stop" and block and block.kind == "tool_use" then
      local arguments = table.concat(block.json)
      result.tool_calls[#result.tool_calls + 1] = {id = block.id, name = block.name, arguments = arguments == "" and "{}" or arguments}
    elseif kind == "message_delta" then
      result.finish = finishes[(said.delta or {}).stop_reason] or result.finish
      add_usage(result, said.usage)
    elseif kind == "error" then
      fault.of_stream(wire.names_of(said.error or {}))
    end
    return kind == "message_stop"
  end)
  result.text = table.concat(text)
  return result
end

return M
