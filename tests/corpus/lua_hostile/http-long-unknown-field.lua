-- expect: lua.timeout|lua.memory|lua.error|ok
local k = ("x"):rep(1e7)
while true do pcall(ctx.http, {[k] = 1}) end
