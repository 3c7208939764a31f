-- expect: lua.error|lua.memory|lua.timeout
local function f() table.sort({2, 1}, f) return true end
f()
