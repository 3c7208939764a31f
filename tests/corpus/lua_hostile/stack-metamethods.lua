-- expect: lua.error|lua.memory
local m = {} m.__index = function(t, k) return t[k .. "x"] end
return {x = setmetatable({}, m).y}
