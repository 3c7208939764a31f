-- expect: lua.memory|lua.error|lua.timeout
local s = ("x"):rep(4e6)
while true do pcall(string.pack, "c10000000", s) end
