-- expect: lua.timeout|lua.error
local f = "%" .. ("0"):rep(4e6) .. "d"
while true do pcall(string.format, f, 1) end
