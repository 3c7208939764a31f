-- expect: lua.timeout|lua.error|lua.memory
local big = {}
for i = 1, 1000000 do big[i] = 1 end
for i = 2, 1000000 do big[i] = nil end
local t = {}
for i = 1, 10000 do t[i] = big end
ctx.json.encode(t)
