-- expect: lua.timeout|lua.memory
local s = ("["):rep(60) .. '"' .. ("x"):rep(4e6) .. '"' .. ("]"):rep(60)
while true do ctx.json.decode(s) end
