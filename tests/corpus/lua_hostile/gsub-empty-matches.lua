-- expect: lua.timeout
local s = ("x"):rep(1e6)
while true do s:gsub("", "") end
