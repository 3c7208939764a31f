-- expect: lua.error|lua.memory
local m = {} m.__tostring = function(t) return tostring(setmetatable({}, m)) end
return {x = tostring(setmetatable({}, m))}
