-- expect: lua.memory|lua.error|lua.timeout
local s = ("A"):rep(4e6)
while true do pcall(ctx.base64.decode, s) end
