-- expect: lua.memory|output.invalid|lua.timeout
local t = {}
for _ = 1, 40 do t = {t, t} end
return t
