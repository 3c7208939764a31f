-- expect: lua.timeout|lua.memory
local s, t = ("x"):rep(1e6), {}
for i = 1, 50000 do t[i] = s end
table.sort(t, print)
