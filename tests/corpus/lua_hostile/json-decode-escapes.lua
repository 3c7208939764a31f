-- expect: lua.memory|lua.timeout
local s = "[\"" .. ("\\u0041"):rep(1.5e6) .. "\"]"
while true do ctx.json.decode(s) end
