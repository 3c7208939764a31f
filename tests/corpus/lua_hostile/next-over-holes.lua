-- expect: lua.timeout
local t = {}
for i = 1, 1e6 do t[i] = i end
for i = 1, 999999 do t[i] = nil end
while true do next(t) end
