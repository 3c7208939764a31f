-- expect: lua.timeout
local s = ("ab "):rep(3e5)
while true do s:find("%f[%z]%f[%a]c") end
