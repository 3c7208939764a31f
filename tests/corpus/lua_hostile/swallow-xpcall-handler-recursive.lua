-- expect: lua.timeout
local function h(e) return select(2, xpcall(error, h, e)) end
while true do xpcall(function() while true do end end, h) end
