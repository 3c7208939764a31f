-- expect: lua.memory|lua.error|lua.timeout
local s = ("x"):rep(4e6)
while true do pcall(ctx.base64.encode, s) end
