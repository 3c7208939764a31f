-- expect: lua.memory|lua.error|lua.timeout
local function f(...) return f(..., ...) end
f(("x"):rep(1000))
