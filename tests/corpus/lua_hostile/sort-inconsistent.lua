-- expect: ok|lua.timeout
local t, n = {}, 0
for i = 1, 20000 do t[i] = i end
table.sort(t, function() n = n + 1 return n % 3 == 0 end)
return {n = #t}
