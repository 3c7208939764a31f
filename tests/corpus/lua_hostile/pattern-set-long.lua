-- expect: lua.timeout|lua.error
local set = "[" .. ("a-zA-Z"):rep(40) .. "]"
local s = ("_"):rep(1e6)
while true do pcall(string.find, s, set) end
