-- expect: lua.timeout
return {x = string.format("%s", setmetatable({}, {__tostring = function() while true do end end}))}
