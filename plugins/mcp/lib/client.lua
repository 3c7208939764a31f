-- One request of an MCP server, and what it came to. Servers of today (revision 2026-07-28) are asked at once: each request says all there is to know.
-- Those of before that revision want to be greeted first, and may keep a session until it is ended.
local headers = require "headers"
local program = require "program"
local spoken = require "spoken"
local M = {}

local VERSION, BEFORE, ME = spoken.VERSION, spoken.BEFORE, spoken.ME
local HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION, NO_METHOD = -32020, -32021, -32022, -32601

local fail = spoken.fail

local function find(ctx, name)
  local names = {}
  for i, server in ipairs(ctx.config.servers) do
    if server.name == name and (server.url or server.program) then return server end
    if server.name == name then fail(ctx, "server", "the MCP server '" .. name .. "' has neither url nor program in bellwire.yaml") end
    names[i] = server.name
  end
  fail(ctx, "server", "there is no MCP server '" .. name .. "': bellwire.yaml has " ..
    (#names > 0 and table.concat(names, ", ") or "none; write configure: {mcp: {servers: [{name: " .. name .. ", url: …}]}}"))
end

-- ---- one message ----

local function decode(ctx, text)
  local good, message = pcall(ctx.json.decode, text)
  return good and type(message) == "table" and message or nil
end

-- A server of before may ask something itself while it answers. It is told that nobody is here.
local function refuse(ctx, session, message)
  local answer = {jsonrpc = "2.0", id = message.id}
  if message.method == "ping" then
    answer.result = {}
  else
    answer.error = {code = NO_METHOD, message = "a step answers no requests"}
  end
  ctx.http{method = "POST", url = session.url, headers = session.headers, json = answer}
end

-- The response to our request, among whatever else the stream has.
local function read_stream(ctx, session, answer, id)
  for event in answer.events() do
    local message = decode(ctx, event.data)
    if message and message.method then
      if message.id ~= nil then refuse(ctx, session, message) end
    elseif message and (message.id == id or message.error) then
      return message
    end
  end
end

local function read_whole(ctx, answer)
  local parts = {}
  for chunk in answer.read do parts[#parts + 1] = chunk end
  return table.concat(parts)
end

-- Returns the response (nil: there was none), the status, the headers and the text of what is no response.
local function post(ctx, session, method, params, more)
  local with = {}
  for name, value in pairs(session.headers) do with[name] = value end
  for name, value in pairs(more or {}) do with[name] = value end
  session.last_id = (session.last_id or 0) + 1
  local answer = ctx.http{method = "POST", url = session.url, headers = with, stream = true,
    json = {jsonrpc = "2.0", id = session.last_id, method = method, params = params}}
  if (answer.headers["content-type"] or ""):find("^text/event%-stream") then
    return read_stream(ctx, session, answer, session.last_id), answer.status, answer.headers, ""
  end
  local text = read_whole(ctx, answer)
  local message = decode(ctx, text)
  local is_response = message and (message.result ~= nil or type(message.error) == "table")
  return is_response and message or nil, answer.status, answer.headers, text
end

local function is_passing(status)
  return status == 408 or status == 425 or status == 429 or status >= 500
end

-- What a response means, or the lack of one.
local function conclude(ctx, session, method, response, status, head, text)
  if response and type(response.result) == "table" then return response.result end
  local what = session.name .. ": " .. method .. ": "
  if is_passing(status) then
    error(ctx.retry{code = "mcp." .. status, message = what .. "the server answers " .. status, after = head["retry-after"]})
  elseif response and response.error then
    fail(ctx, "error", what .. tostring(response.error.message) .. " (" .. tostring(response.error.code) .. ")")
  end
  fail(ctx, status < 300 and "no_answer" or tostring(status), what .. "the server answers " .. status .. (text ~= "" and ": " .. text:sub(1, 500) or ", and nothing else"))
end

-- ---- servers of before ----

-- A server of today that has refused the request for another reason refuses this one as well: then that reason counts.
local function greet(ctx, session, has_refused)
  local response, status, head, text = post(ctx, session, "initialize", {protocolVersion = BEFORE, capabilities = {}, clientInfo = ME})
  if has_refused and response and response.error and not is_passing(status) then return end
  local result = conclude(ctx, session, "initialize", response, status, head, text)
  session.headers["MCP-Protocol-Version"] = result.protocolVersion
  session.headers["Mcp-Session-Id"] = head["mcp-session-id"]
  ctx.http{method = "POST", url = session.url, headers = session.headers, json = {jsonrpc = "2.0", method = "notifications/initialized"}}
  session.is_of_before = true
end

local function say_goodbye(ctx, session)
  if session.headers["Mcp-Session-Id"] then pcall(ctx.http, {method = "DELETE", url = session.url, headers = session.headers, timeout = "5s"}) end
end

-- ---- servers of today ----

-- Does this answer come from a server of before, that does not know what it was asked?
local function wants_greeting(response, status)
  local code = response and response.error and response.error.code
  if code == HEADER_MISMATCH or code == MISSING_CAPABILITY or (code == NO_METHOD and status == 404) then return false end
  if code == UNSUPPORTED_VERSION then
    for _, version in ipairs(response.error.data and response.error.data.supported or {}) do
      if version <= BEFORE then return true end
    end
    return false
  end
  return status == 400 or status == 404 or status == 405 or status == 406
end

local list_tools

local function ask_today(ctx, session, method, params, more)
  local with = {["MCP-Protocol-Version"] = VERSION, ["Mcp-Method"] = method}
  if params.name then with["Mcp-Name"] = headers.value(ctx, params.name) end
  for name, value in pairs(more or {}) do with[name] = value end
  local response, status, head, text = post(ctx, session, method, spoken.with_meta(params), with)
  if response and response.error and response.error.code == HEADER_MISMATCH and params.name and not more then
    return ask_today(ctx, session, method, params, headers.of_arguments(ctx, list_tools(ctx, session), params))
  end
  return response, status, head, text
end

local function ask(ctx, session, method, params)
  local response, status, head, text
  if not session.is_of_before then
    response, status, head, text = ask_today(ctx, session, method, params)
    if wants_greeting(response, status) then greet(ctx, session, response and response.error ~= nil) end
  end
  if session.is_of_before then response, status, head, text = post(ctx, session, method, params) end
  return conclude(ctx, session, method, response, status, head, text)
end

function list_tools(ctx, session)
  return spoken.list_tools(ctx, session.name, function(params) return ask(ctx, session, "tools/list", params) end)
end

-- ---- for the actions ----

local function in_session(ctx, server, work)
  local session = {name = server.name, url = server.url, headers = {Accept = "application/json, text/event-stream"}} -- of every message, notifications as well
  if server.token then session.headers["Authorization"] = "Bearer " .. ctx.secret(server.token) end
  local good, result = pcall(work, session)
  say_goodbye(ctx, session)
  if not good then error(result, 0) end
  return result
end

function M.ask(ctx, name, method, params)
  local server = find(ctx, name)
  if server.program then return program.ask(ctx, server, method, params) end
  return in_session(ctx, server, function(session) return ask(ctx, session, method, params) end)
end

function M.tools(ctx, name)
  local server = find(ctx, name)
  if server.program then return spoken.list_tools(ctx, name, function(params) return program.ask(ctx, server, "tools/list", params) end) end
  return in_session(ctx, server, function(session) return list_tools(ctx, session) end)
end

return M
