-- expect: lua.error|lua.memory|lua.timeout
local s, t = ("x"):rep(1e6), {}
for i = 1, 1000 do t[i] = s end
while true do pcall(ctx.json.encode, t) end
