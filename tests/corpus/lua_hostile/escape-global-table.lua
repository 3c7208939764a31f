-- expect: ok
local seen = {}
for k in pairs(_ENV) do seen[#seen + 1] = k end
return {g = _G == nil, seen = seen}
