-- expect: lua.timeout|lua.memory
local t = {}
for i = 1, 3e5 do t[i] = 1e308 end
while true do table.concat(t) end
