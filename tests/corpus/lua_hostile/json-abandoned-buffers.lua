-- expect: lua.error|lua.memory|lua.timeout
local s, t = ("x"):rep(1e6), {}
for i = 1, 10 do t[i] = s end
t[11] = print
while true do pcall(ctx.json.encode, t) end
