-- expect: lua.timeout
local f = ("b"):rep(4e6)
while true do string.packsize(f) end
