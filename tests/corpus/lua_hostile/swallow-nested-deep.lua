-- expect: lua.timeout|lua.error
local function nest(n) if n == 0 then while true do end end return pcall(nest, n - 1) end
while true do nest(90) end
