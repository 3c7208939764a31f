-- expect: lua.error|lua.memory|lua.timeout
local function f() local x <close> = setmetatable({}, {__close = f}) end
f()
