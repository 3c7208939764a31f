-- OpenAI Chat Completions, and every server that speaks it.
local fault = require "fault"
local wire = require "wire"
local M = {base_url = "https://api.openai.com/v1", path = "/chat/completions"}

function M.headers(key)
  return {Authorization = key and "Bearer " .. key}
end

local function message_of(ctx, message)
  if message.role == "tool" then return {role = "tool", tool_call_id = message.call, content = message.content} end
  local out = {role = message.role, content = message.content}
  if message.tool_calls then
    if out.content == "" then out.content = nil end
    out.tool_calls = {}
    for i, call in ipairs(message.tool_calls) do
      out.tool_calls[i] = {id = call.id, type = "function", ["function"] = {name = call.name, arguments = call.arguments}}
    end
  end
  return out
end

function M.body(ctx, request)
  local messages = {}
  if request.system then messages[1] = {role = "system", content = request.system} end
  for _, message in ipairs(request.messages) do messages[#messages + 1] = message_of(ctx, message) end
  local body = {model = request.model, messages = messages, stream = true, stream_options = {include_usage = true}, temperature = request.temperature}
  local is_new = request.is_vendor or (request.options or {}).max_completion_tokens -- both at once are refused
  body[is_new and "max_completion_tokens" or "max_tokens"] = request.max_tokens
  if request.schema then
    body.response_format = {type = "json_schema", json_schema = {name = "answer", schema = request.schema, strict = request.is_strict}}
  end
  if request.tools then
    body.tools = {}
    for i, tool in ipairs(request.tools) do
      body.tools[i] = {type = "function", ["function"] = {name = tool.name, description = tool.doc, parameters = tool.schema}}
    end
  end
  return body
end

local function given(new, old)
  return new and new ~= "" and new or old
end

-- A piece of a call that the model makes. Its index should tell which one, but some servers give all the same: then a name with another id begins one.
local function take_call(calls, open, part, at)
  local said = part["function"] or {}
  local call = open[at]
  if not call or (given(said.name) and given(part.id) and call.id and part.id ~= call.id) then
    call = {arguments = ""}
    open[at] = call
    calls[#calls + 1] = call
  end
  call.id, call.name = given(part.id, call.id), given(said.name, call.name)
  call.arguments = call.arguments .. (said.arguments or "")
end

-- model_length: Mistral. The last ones are what Mistral, vLLM and DeepSeek call an answer that broke off.
local finishes = {stop = "stop", length = "length", model_length = "length", tool_calls = "tools", function_call = "tools", content_filter = "refused"}
local broken = {error = true, abort = true, insufficient_system_resource = true}

-- Reads the answer into {text, tool_calls, finish, usage}; first() is called when it begins.
function M.read(ctx, request, first)
  local text, calls, open, result, refusal = {}, {}, {}, {usage = nil}, {}
  local function take_delta(delta)
    if type(delta.content) == "string" and delta.content ~= "" then
      first(delta.content)
      text[#text + 1] = delta.content
    end
    if type(delta.refusal) == "string" then refusal[#refusal + 1] = delta.refusal end
    for i, part in ipairs(type(delta.tool_calls) == "table" and delta.tool_calls or {}) do
      first()
      take_call(calls, open, part, math.tointeger(part.index or i - 1) or i - 1)
    end
  end
  local ok, why = pcall(wire.stream, ctx, request, function(event)
    if event.data == "[DONE]" then return true end
    local chunk = wire.decode(ctx, event.data)
    if chunk.error then fault.of_stream(wire.names_of(type(chunk.error) == "table" and chunk.error or {message = chunk.error})) end
    local choice = type(chunk.choices) == "table" and chunk.choices[1]
    if choice then
      take_delta(choice.delta or {})
      if broken[choice.finish_reason] then fault.raise("overloaded", "the model has broken off: " .. choice.finish_reason) end
      result.finish = finishes[choice.finish_reason] or result.finish
    end
    if type(chunk.usage) == "table" then
      local details = chunk.usage.prompt_tokens_details or {}
      result.usage = {input = chunk.usage.prompt_tokens, output = chunk.usage.completion_tokens, cached = details.cached_tokens}
    end
  end)
  if not ok and not (result.finish and type(why) == "table" and why.fault == "stream") then error(why) end -- some servers leave out [DONE]
  if #refusal > 0 then fault.raise("refused", table.concat(refusal):sub(1, 300)) end
  result.text = table.concat(text)
  result.tool_calls = calls
  return result
end

function M.embed(ctx, request)
  local body = {model = request.model, input = request.texts, dimensions = request.dimensions, encoding_format = "float"}
  local answer = wire.whole(ctx, {url = request.url, headers = request.headers, json = body, timeout = request.timeout})
  local vectors = {}
  for i, item in ipairs(type(answer.data) == "table" and answer.data or {}) do vectors[(math.tointeger(item.index) or i - 1) + 1] = item.embedding end
  if #vectors ~= #request.texts then fault.raise("stream", "the answer has " .. #vectors .. " vectors for " .. #request.texts .. " texts") end
  local usage = answer.usage or {}
  return {vectors = vectors, usage = {input = usage.prompt_tokens or usage.total_tokens, output = 0}}
end
M.embed_path = "/embeddings"

return M
