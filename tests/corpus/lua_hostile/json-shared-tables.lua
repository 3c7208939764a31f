-- expect: lua.error|lua.memory|lua.timeout
local t = {}
for _ = 1, 40 do t = {t, t} end
while true do pcall(ctx.json.encode, t) end
