-- expect: lua.memory|lua.error|lua.timeout
local s = ("\255"):rep(4e6)
while true do pcall(ctx.urlencode, s) end
