-- expect: lua.timeout|lua.memory|lua.error
local t = {}
for i = 1, 9e4 do t[i] = 0x10ffff end
while true do utf8.char(table.unpack(t)) end
