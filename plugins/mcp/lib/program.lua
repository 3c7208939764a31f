-- A server that is a program: it is started for each request, by exec/rpc, and ends with it. So a step has no part in what another one has done to it, a
-- server that hangs costs one attempt, and nothing of it is left when the step is over.
--
-- Most such servers are of before: they are greeted first. To greet has no effect, so a server that does not want to be greeted is asked in another
-- process in the way of today, and no tool is ever called twice.
local spoken = require "spoken"
local M = {}

local GREETING, REQUEST = 1, 2

-- One process; what it has answered. A part is not run a second time: each attempt has parts of its own.
local function talk(ctx, server, messages)
  local own = ctx.config -- of this attempt alone, which the variables of a module are not
  own.talks = (own.talks or 0) + 1
  local output, why = ctx.part.run("server[" .. ctx.attempt .. "." .. own.talks .. "]", "exec/rpc@1", {program = server.program, messages = messages})
  if output then return output.answers end
  if why.code == "action.unknown" then
    spoken.fail(ctx, "program", "the server " .. server.name .. " is a program, and this instance runs none: write configure: {exec: {programs: [{name: " .. server.program .. ", run: […]}]}}")
  end
  local failed = {code = why.code, message = server.name .. ": " .. why.message}
  error(why.class == "transient" and ctx.retry(failed) or ctx.fail(failed))
end

function M.ask(ctx, server, method, params)
  local answers = talk(ctx, server, {
    {jsonrpc = "2.0", id = GREETING, method = "initialize", params = {protocolVersion = spoken.BEFORE, capabilities = {}, clientInfo = spoken.ME}},
    {jsonrpc = "2.0", method = "notifications/initialized"},
    {jsonrpc = "2.0", id = REQUEST, method = method, params = params},
  })
  local answer = answers[#answers]
  if answer.error and #answers == 1 then
    answers = talk(ctx, server, {{jsonrpc = "2.0", id = REQUEST, method = method, params = spoken.with_meta(params)}})
    answer = answers[#answers]
  end
  if type(answer.result) == "table" then return answer.result end
  local why = answer.error or {}
  spoken.fail(ctx, answer.error and "error" or "no_answer",
    server.name .. ": " .. method .. ": " .. (answer.error and tostring(why.message) .. " (" .. tostring(why.code) .. ")" or "the answer has no result"))
end

return M
