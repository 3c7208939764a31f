-- expect: lua.timeout
local s = ("x"):rep(4e6)
while true do ctx.log(s) end
