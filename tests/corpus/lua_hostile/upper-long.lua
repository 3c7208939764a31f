-- expect: lua.timeout|lua.memory
local s = ("x"):rep(4e6)
while true do s:upper() end
