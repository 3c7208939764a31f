-- expect: lua.memory
local s, t = ("0"):rep(1e6) .. "65", {}
for i = 1, 9e4 do t[i] = s end
math.max(table.unpack(t))
