-- expect: lua.timeout|lua.error|lua.memory
local function f(n) if n > 0 then return (f(n - 1)) end while true do pcall(string.rep) end end
f(25000)
