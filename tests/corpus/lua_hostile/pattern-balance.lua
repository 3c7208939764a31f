-- expect: lua.timeout
local s = ("("):rep(1e6)
while true do s:find("%b()") end
