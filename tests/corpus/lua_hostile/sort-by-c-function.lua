-- expect: lua.timeout|lua.memory
local t = {}
for i = 1, 400000 do t[i] = i end
while true do table.sort(t, rawequal) end
