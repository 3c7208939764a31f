-- expect: lua.timeout|lua.error
local x <close> = setmetatable({}, {__close = function() while true do end end})
error("x")
