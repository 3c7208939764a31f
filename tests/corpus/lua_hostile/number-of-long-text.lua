-- expect: lua.timeout
local s = ("9"):rep(5e6)
while true do tonumber(s) end
