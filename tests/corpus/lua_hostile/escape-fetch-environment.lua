-- expect: ok
local e = _ENV
local _ENV = setmetatable({}, {__index = function(_, k) return e[k] end})
return {x = type(print)}
