-- expect: lua.timeout
local f = (" "):rep(5e6)
while true do string.packsize(f) end
