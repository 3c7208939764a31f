-- expect: lua.timeout|lua.error
local function f() pcall(f) return f() end
f()
