-- expect: lua.timeout
local s = ("0"):rep(5e6) .. "1"
while true do math.abs(s) end
