-- expect: ok|lua.error
local a = ctx.json.array{} local m = getmetatable(a)
if type(m) == "table" then m.__index = print end
return {}
