-- expect: lua.timeout|lua.error|lua.memory
local s = ("ä"):rep(1e5)
while true do pcall(utf8.codepoint, s, 1, -1) end
