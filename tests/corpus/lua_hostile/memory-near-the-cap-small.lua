-- expect: lua.timeout|lua.memory
local t = {}
for i = 1, 2.6e5 do t[i] = {i} end
while true do local s = {1, 2, 3, 4} end
