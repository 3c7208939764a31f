-- expect: lua.timeout|lua.memory
local a, b = ("\0"):rep(2e5) .. "a", ("\0"):rep(2e5) .. "b"
while true do local _ = a < b local _ = a < b local _ = a < b end
