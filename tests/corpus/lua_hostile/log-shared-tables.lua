-- expect: lua.timeout|lua.error
local t = {}
for i = 1, 60 do t = {t, t} end
ctx.log(t)
