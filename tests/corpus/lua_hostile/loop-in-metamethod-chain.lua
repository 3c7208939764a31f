-- expect: lua.timeout
local m = {}
for _, k in ipairs{"__add", "__concat", "__unm", "__len", "__call", "__lt", "__le"} do m[k] = function(a) while true do end end end
return -setmetatable({}, m)
