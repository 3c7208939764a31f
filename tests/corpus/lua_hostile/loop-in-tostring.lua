-- expect: lua.timeout
return {x = tostring(setmetatable({}, {__tostring = function() while true do end end}))}
