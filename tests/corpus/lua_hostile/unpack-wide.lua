-- expect: lua.timeout|lua.error|lua.memory
local t = {}
for i = 1, 99999 do t[i] = i end
while true do select("#", table.unpack(t)) end
