-- expect: lua.error
local m = {} m.__concat = function(a, b) return setmetatable({}, m) .. b end
return {x = setmetatable({}, m) .. "x"}
