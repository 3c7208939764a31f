-- expect: lua.timeout
return {x = setmetatable({}, {__index = function() while true do end end}).y}
