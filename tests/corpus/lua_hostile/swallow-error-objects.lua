-- expect: lua.timeout
local e = setmetatable({}, {__tostring = function() while true do end end, __eq = function() while true do end end})
while true do pcall(error, e) end
