-- expect: lua.timeout|lua.error
local s = ("0"):rep(1e6) .. "1"
while true do local _ = s + s + s + s + s + s + s + s end
