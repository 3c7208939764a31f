-- expect: lua.timeout
local function again() local x <close> = setmetatable({}, {__close = function() pcall(again) while true do end end}) while true do end end
while true do pcall(again) end
