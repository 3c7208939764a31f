-- expect: lua.timeout
local s = ("["):rep(1e6)
while true do pcall(ctx.json.decode, s) end
