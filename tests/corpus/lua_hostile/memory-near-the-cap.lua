-- expect: lua.timeout|lua.memory
local t = {}
for i = 1, 2.4e5 do t[i] = {i} end
while true do local s = ("x"):rep(60000) end
