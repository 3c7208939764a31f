-- expect: lua.timeout
local t = {}
while true do table.insert(t, 1, 0) if #t > 2e5 then t = {} end end
