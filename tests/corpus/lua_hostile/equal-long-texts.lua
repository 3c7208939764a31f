-- expect: lua.timeout
local a, b = ("x"):rep(7e6) .. "a", ("x"):rep(7e6) .. "b"
while true do local _ = a == b end
