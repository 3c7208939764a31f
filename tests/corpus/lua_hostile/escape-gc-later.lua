-- expect: ok
local m = {}
for i = 1, 1e4 do setmetatable({}, m) end
m.__gc = function() while true do end end
for i = 1, 1e4 do setmetatable({}, {}) end
return {}
