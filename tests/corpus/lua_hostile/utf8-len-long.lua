-- expect: lua.timeout
local s = ("ä"):rep(5e6)
while true do utf8.len(s) end
