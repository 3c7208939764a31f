-- expect: lua.timeout
local s = ("x"):rep(200)
while true do ctx.progress(s) end
