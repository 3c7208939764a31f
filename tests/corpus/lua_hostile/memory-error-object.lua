-- expect: lua.error|lua.memory|lua.timeout
local big = ("x"):rep(6e6)
while true do pcall(error, big .. 1) end
