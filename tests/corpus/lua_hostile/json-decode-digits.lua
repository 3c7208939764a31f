-- expect: lua.timeout
local s = "[" .. ("9"):rep(7e6) .. "]"
while true do pcall(ctx.json.decode, s) end
