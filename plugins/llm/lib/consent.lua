-- What a person has to agree to before a tool is called: who is told, what is asked, what came of it. All of it is parts of the step.
local M = {}

local MESSAGE_MAX, INPUT_MAX = 3000, 12000 -- bytes of a question: of what the workflow says, and of the call, which is shown whole
local TRIES = {0, 2, 10}  -- seconds in front of each try to tell somebody

local known = {message = "string", timeout = "string", to = "table", need = "integer", on_timeout = "string", notify = "table"}

local function wrong(ctx, uses, message)
  error(ctx.fail{code = "llm.tool", message = "tools: " .. uses .. ": " .. message})
end

-- What `approve` says of the tool, on top of what `approval` says for all; nil: it needs nobody's consent.
function M.settings(ctx, uses, approve, approval)
  if not approve then return nil end
  local out = {}
  for _, from in ipairs{approval or {}, approve == true and {} or approve} do
    if type(from) ~= "table" then wrong(ctx, uses, "approve is true, or {message, timeout, to, need, on_timeout, notify}") end
    for key, value in pairs(from) do
      if known[key] ~= (math.type(value) or type(value)) then wrong(ctx, uses, "approve has no such `" .. key .. "`") end
      out[key] = value
    end
  end
  local notify = out.notify
  if not notify or type(notify.uses) ~= "string" or type(notify.with or {}) ~= "table" then
    wrong(ctx, uses, "nobody would hear that consent is wanted: approval: {notify: {uses: chat/post@1, with: {channel: \"#ops\", text: \"{message} {url}\"}}}")
  end
  if #(out.message or "") > MESSAGE_MAX then wrong(ctx, uses, "message has more than " .. MESSAGE_MAX .. " bytes") end
  if out.on_timeout and out.on_timeout ~= "fail" and out.on_timeout ~= "reject" and out.on_timeout ~= "approve" then
    wrong(ctx, uses, "on_timeout is fail, reject or approve")
  end
  return out
end

-- {message}, {url} and {to} in the texts of `with`, once: what comes in their place is not looked at again.
local function fill(value, words)
  if type(value) == "string" then return (value:gsub("{(%l+)}", words)) end
  if type(value) ~= "table" then return value end
  local out = {}
  for key, inner in pairs(value) do out[key] = fill(inner, words) end
  return out
end

-- Whoever agrees has to see all of it.
function M.is_too_long(ctx, input)
  return #ctx.json.encode(input) > INPUT_MAX
end

local function question(ctx, one)
  local text = (one.tool.approve.message or "A language model wants to make this call:") .. "\n\n" .. one.tool.uses .. " " .. ctx.json.encode(one.input)
  local settings = one.tool.approve
  return {name = one.ask, message = text, to = settings.to, need = settings.need, timeout = settings.timeout, on_timeout = settings.on_timeout}
end

local function tell(ctx, notify, part, words)
  for try, after in ipairs(TRIES) do
    local name = try == 1 and part or part .. "." .. try
    local done, why = ctx.part.find(name)
    if not done and not why then
      if after > 0 then ctx.sleep(after) end
      done, why = ctx.part.run(name, notify.uses, fill(notify.with or {}, words))
    end
    if done then return end
    if try == #TRIES or (why.class ~= "transient" and why.class ~= "timeout") then
      error(ctx.fail{code = why.code, message = "notify: " .. why.message})
    end
  end
end

-- Each person has a link of their own; whoever has that is this person.
local function tell_all(ctx, one, asked)
  local notify = one.tool.approve.notify
  if not asked.to then return tell(ctx, notify, one.notify, {message = asked.message, url = ctx.part.link(one.ask)}) end
  for i, actor in ipairs(asked.to) do
    tell(ctx, notify, one.notify .. "[" .. i .. "]", {message = asked.message, url = ctx.part.link(one.ask, actor), to = actor})
  end
end

-- Waits for the consent that the calls of a turn need. Gives those that are refused, by the names of their parts.
function M.wait(ctx, calls)
  local questions, refused = {}, {}
  for _, one in ipairs(calls) do
    if not one.fault and one.tool.approve then
      local asked = question(ctx, one)
      questions[#questions + 1] = asked
      local known_answer, why = ctx.part.find(one.ask)
      if not known_answer and not why then tell_all(ctx, one, asked) end
    end
  end
  if #questions == 0 then return refused end
  for i, answer in ipairs(ctx.part.ask(questions)) do
    if answer.error then error(ctx.fail{code = answer.error.code, message = questions[i].name .. ": " .. answer.error.message}) end
    refused[questions[i].name] = answer.choice ~= "approve"
  end
  return refused
end

return M
