-- expect: lua.timeout|lua.error|lua.memory
local o = setmetatable({}, {__close = ctx.json.encode})
for i = 1, 40000 do o[i] = i end
local function f(n)
  local a <close>, b, c = o
  local d <close> = o local e <close> = o local g <close> = o local h <close> = o local i <close> = o local j <close> = o local k <close> = o
  local l <close> = o local m <close> = o local p <close> = o local q <close> = o local r <close> = o local s <close> = o local t <close> = o
  if n > 0 then f(n - 1) end
  while true do end
end
pcall(f, 100)
