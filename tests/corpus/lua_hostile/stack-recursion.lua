-- expect: lua.error|lua.memory
local function f(a, b, c) return {f(a, b, c)} end
f(1, 2, 3)
