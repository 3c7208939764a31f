-- expect: lua.memory|lua.timeout
local s = "[" .. ("[],"):rep(2e6) .. "1]"
while true do ctx.json.decode(s) end
