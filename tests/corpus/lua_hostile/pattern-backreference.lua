-- expect: lua.timeout|lua.error
local s = ("ab"):rep(30000)
while true do pcall(string.find, s, "(.+)%1%1c") end
