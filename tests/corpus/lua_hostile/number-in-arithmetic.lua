-- expect: lua.timeout
local s = (" "):rep(5e6) .. "1"
while true do local _ = s + 0 end
