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

-- What the model has thought goes back with its calls, as it was and where it was, and only to this model: it is signed.
local function content_with_thoughts(ctx, message)
  local content = {}
  for i, block in ipairs(message.blocks) do
    local call = message.tool_calls[block.call or 0]
    content[i] = call and {type = "tool_use", id = call.id, name = call.name, input = arguments_of(ctx, call.arguments)} or block
  end
  return content
end

local function content_of(ctx, message, by)
  if message.role == "tool" then
    return {{type = "tool_result", tool_use_id = message.call, content = message.content, is_error = message.is_error}}
  end
  if not message.tool_calls then return message.content end
  if message.blocks and message.by == by then return content_with_thoughts(ctx, message) end
  local content = {}
  if message.content ~= "" then content[1] = {type = "text", text = message.content} end
  for _, call in ipairs(message.tool_calls) do
    content[#content + 1] = {type = "tool_use", id = call.id, name = call.name, input = arguments_of(ctx, call.arguments)}
  end
  return content
end

-- Results of tools are said by the user, those of one turn in one message.
local function messages_of(ctx, messages, by)
  local out = {}
  for _, message in ipairs(messages) do
    local last = out[#out]
    if message.role == "tool" and last and last.has_results then
      last.content[#last.content + 1] = content_of(ctx, message, by)[1]
    else
      out[#out + 1] = {role = message.role == "tool" and "user" or message.role, content = content_of(ctx, message, by), has_results = message.role == "tool"}
    end
  end
  for _, message in ipairs(out) do message.has_results = nil end
  return out
end

function M.body(ctx, request)
  local body = {
    model = request.model, system = request.system, messages = messages_of(ctx, request.messages, request.by), max_tokens = request.max_tokens,
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
  sum.kept = type(usage.cache_creation) == "table" and usage.cache_creation.ephemeral_1h_input_tokens or sum.kept
  sum.output = usage.output_tokens or sum.output
  sum.input, sum.cached = sum.plain + sum.read + sum.written, sum.read
  result.usage = sum
end

local function begin_block(said)
  local start = said.content_block or {}
  return {kind = start.type, id = start.id, name = start.name, data = start.data, parts = {}, signature = start.signature or ""}
end

local function add_delta(block, delta)
  if delta.type == "signature_delta" then block.signature = block.signature .. delta.signature end
  block.parts[#block.parts + 1] = delta.type == "text_delta" and delta.text or delta.type == "input_json_delta" and delta.partial_json
    or delta.type == "thinking_delta" and delta.thinking or nil
end

local function end_block(result, block)
  local said, blocks = table.concat(block.parts), result.blocks
  if block.kind == "text" and said ~= "" then
    result.text = result.text .. said
    blocks[#blocks + 1] = {type = "text", text = said}
  elseif block.kind == "thinking" then
    blocks[#blocks + 1] = {type = "thinking", thinking = said, signature = block.signature}
    result.has_thoughts = true
  elseif block.kind == "redacted_thinking" then
    blocks[#blocks + 1] = {type = "redacted_thinking", data = block.data}
    result.has_thoughts = true
  elseif block.kind == "tool_use" then
    result.tool_calls[#result.tool_calls + 1] = {id = block.id, name = block.name, arguments = said == "" and "{}" or said}
    blocks[#blocks + 1] = {call = #result.tool_calls}
  end
end

function M.read(ctx, request, first)
  local open, result = {}, {text = "", tool_calls = {}, blocks = {}}
  wire.stream(ctx, request, function(event)
    if event.event == "ping" then return false end
    local said = wire.decode(ctx, event.data)
    local kind, block = said.type, open[said.index or -1]
    if kind == "message_start" then
      add_usage(result, (said.message or {}).usage)
    elseif kind == "content_block_start" then
      open[said.index or 0] = begin_block(said)
    elseif kind == "content_block_delta" and block then
      local delta = said.delta or {}
      first(delta.text)
      add_delta(block, delta)
    elseif kind == "content_block_stop" and block then
      end_block(result, block)
      open[said.index] = nil
    elseif kind == "message_delta" then
      result.finish = finishes[(said.delta or {}).stop_reason] or result.finish
      add_usage(result, said.usage)
    elseif kind == "error" then
      fault.of_stream(wire.names_of(said.error or {}))
    end
    return kind == "message_stop"
  end)
  local left = {}
  for index in pairs(open) do left[#left + 1] = index end
  table.sort(left)
  for _, index in ipairs(left) do end_block(result, open[index]) end -- servers that speak like it may not say so
  if not result.has_thoughts then result.blocks = nil end
  return result
end

return M
