-- expect: lua.error|lua.memory|lua.timeout
local s = ("\1"):rep(1.5e6)
while true do pcall(ctx.json.encode, {s}) end
