-- expect: lua.timeout
local n = 0
while true do for _, v in ipairs(input.list) do n = n + v end end
