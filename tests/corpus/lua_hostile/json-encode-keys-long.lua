-- expect: lua.timeout|lua.memory
local t = {}
for i = 1, 10 do t[("k"):rep(5e5) .. i] = i end
while true do ctx.json.encode(t) end
