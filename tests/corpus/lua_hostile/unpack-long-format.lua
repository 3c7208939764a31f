-- expect: lua.timeout|lua.error
local f, s = ("x"):rep(4e6), ("y"):rep(4e6)
while true do pcall(string.unpack, f, s) end
