-- expect: lua.timeout|lua.error|lua.memory
local o = setmetatable({}, {__close = function() while true do end end})
local function f(n)
  local d <close> = o local e <close> = o local g <close> = o local h <close> = o local i <close> = o local j <close> = o local k <close> = o
  local l <close> = o local m <close> = o local p <close> = o local q <close> = o local r <close> = o local s <close> = o local t <close> = o
  local d <close> = o local e <close> = o local g <close> = o local h <close> = o local i <close> = o local j <close> = o local k <close> = o
  local l <close> = o local m <close> = o local p <close> = o local q <close> = o local r <close> = o local s <close> = o local t <close> = o
  local d <close> = o local e <close> = o local g <close> = o local h <close> = o local i <close> = o local j <close> = o local k <close> = o
  local l <close> = o local m <close> = o local p <close> = o local q <close> = o local r <close> = o local s <close> = o local t <close> = o
  local d <close> = o local e <close> = o local g <close> = o local h <close> = o local i <close> = o local j <close> = o local k <close> = o
  local l <close> = o local m <close> = o local p <close> = o local q <close> = o local r <close> = o local s <close> = o local t <close> = o
  if n > 0 then f(n - 1) end
  while true do end
end
pcall(f, 3000)
