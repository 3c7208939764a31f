-- expect: lua.memory
local s = ("\1"):rep(4e6)
while true do string.format("%q", s) end
