-- expect: lua.timeout
local s, p = ("a"):rep(4e6), ("a"):rep(4e6) .. "b"
while true do s:find(p, 1, true) end
