-- expect: lua.timeout|lua.memory
local t = {}
for i = 1, 1e5 do t["k" .. i] = i end
while true do ctx.json.encode(t) end
