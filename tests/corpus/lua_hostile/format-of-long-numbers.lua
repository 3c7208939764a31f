-- expect: lua.memory
local s, t = ("0"):rep(1e6) .. "65", {}
for i = 1, 5000 do t[i] = s end
string.format(("%d"):rep(5000), table.unpack(t))
