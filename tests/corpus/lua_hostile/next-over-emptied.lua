-- expect: lua.timeout|lua.error|lua.memory
local big = {}
for i = 1, 100000 do big["k" .. i] = 1 end
for i = 1, 100000 do big["k" .. i] = nil end
local t = {}
for i = 1, 10000 do t[i] = big end
table.sort(t, function(a, b) return next(a) end)
local u = setmetatable({}, {__lt = next})
big = setmetatable(big, {__lt = function(a) return next(a) end})
for i = 1, 1e9 do local _ = big < big end
