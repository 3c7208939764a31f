-- expect: lua.timeout
local s = ("x"):rep(5e6)
while true do ctx.hmac("sha512", "k", s) end
