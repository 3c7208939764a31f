-- expect: lua.timeout|lua.error
pcall(function() local x <close> = setmetatable({}, {__close = function() while true do pcall(ctx.sleep, 0.001) end end}) error("x") end)
