-- expect: lua.timeout|lua.memory
local s, t = ("0"):rep(1e6) .. "1", {}
for i = 1, 20000 do t[i] = s end
table.sort(t, string.sub)
