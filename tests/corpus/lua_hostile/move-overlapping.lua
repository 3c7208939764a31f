-- expect: lua.timeout
local t = {}
for i = 1, 5e5 do t[i] = i end
while true do table.move(t, 1, 5e5, 2) t[500001] = nil end
