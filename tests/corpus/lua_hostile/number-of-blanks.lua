-- expect: lua.timeout
local s = (" "):rep(5e6) .. "1"
while true do tonumber(s, 36) end
