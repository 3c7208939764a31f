-- expect: lua.timeout|lua.memory
local f = ("%%"):rep(4e6)
while true do string.format(f) end
