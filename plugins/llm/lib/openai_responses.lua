-- OpenAI Responses.
local fault = require "fault"
local wire = require "wire"
local chat = require "openai_chat"
local M = {base_url = "https://api.openai.com/v1", path = "/responses", headers = chat.headers, embed = chat.embed, embed_path = chat.embed_path}

local function add_items(ctx, input, message, by)
  if message.role == "tool" then
    input[#input + 1] = {type = "function_call_output", call_id = message.call, output = message.content}
    return
  end
  for _, block in ipairs(message.by == by and message.blocks or {}) do -- in front of all else, as it came
    block.summary = ctx.json.array(block.summary or {})
    input[#input + 1] = block
  end
  if message.content ~= "" then input[#input + 1] = {role = message.role, content = message.content} end
  for _, call in ipairs(message.tool_calls or {}) do
    input[#input + 1] = {type = "function_call", call_id = call.id, name = call.name, arguments = call.arguments}
  end
end

-- store = false: what is sent is kept nowhere but here.
function M.body(ctx, request)
  local input = {}
  for _, message in ipairs(request.messages) do add_items(ctx, input, message, request.by) end
  local body = {
    model = request.model, instructions = request.system, input = input, stream = true, store = false,
    max_output_tokens = request.max_tokens, temperature = request.temperature,
  }
  if request.schema then body.text = {format = {type = "json_schema", name = "answer", schema = request.schema, strict = request.is_strict}} end
  if request.tools then
    body.tools = {}
    for i, tool in ipairs(request.tools) do
      body.tools[i] = {type = "function", name = tool.name, description = tool.doc, parameters = tool.schema, strict = false}
    end
  end
  return body
end

local function usage_of(response)
  local usage = response.usage
  if type(usage) ~= "table" then return nil end
  return {input = usage.input_tokens, output = usage.output_tokens, cached = (usage.input_tokens_details or {}).cached_tokens}
end

local function take_item(ctx, result, item)
  if item.type == "function_call" then
    result.tool_calls[#result.tool_calls + 1] = {id = item.call_id, name = item.name, arguments = item.arguments}
  end
  if item.type == "reasoning" and item.encrypted_content then -- of those that ask for it in `options`
    result.blocks = result.blocks or {}
    result.blocks[#result.blocks + 1] = item
  end
  if item.type ~= "message" then return end
  for _, part in ipairs(item.content or {}) do
    if part.type == "output_text" then result.text = result.text .. part.text end
    if part.type == "refusal" then fault.raise("refused", tostring(part.refusal):sub(1, 300)) end
  end
end

function M.read(ctx, request, first)
  local result, items = {text = "", tool_calls = {}}, {}
  wire.stream(ctx, request, function(event)
    local said = wire.decode(ctx, event.data)
    local kind = said.type or event.event
    if kind == "response.output_text.delta" then
      first(said.delta)
    elseif kind == "response.function_call_arguments.delta" then
      first()
    elseif kind == "response.output_item.done" then
      items[#items + 1] = said.item
    elseif kind == "error" then
      fault.of_stream(wire.names_of(type(said.error) == "table" and said.error or {code = said.code, message = said.message}))
    elseif kind == "response.failed" then
      fault.of_stream(wire.names_of((said.response or {}).error or {}))
    elseif kind == "response.completed" or kind == "response.incomplete" then
      local response = said.response or {}
      result.usage = usage_of(response)
      local output = type(response.output) == "table" and #response.output > 0 and response.output or items -- not all servers say it again
      for _, item in ipairs(output) do take_item(ctx, result, item) end
      local why = (response.incomplete_details or {}).reason
      result.finish = #result.tool_calls > 0 and "tools" or "stop"
      if kind == "response.incomplete" then result.finish = why == "content_filter" and "refused" or "length" end
      return true
    end
  end)
  return result
end

return M
