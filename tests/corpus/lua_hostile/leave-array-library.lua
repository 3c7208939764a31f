-- expect: ok
pcall(ctx.json.array, string) pcall(ctx.json.array, table) pcall(ctx.json.array, ctx.log) pcall(ctx.json.array, ctx.json)
pcall(function() string.rep = function() return "poison" end end)
pcall(function() table.concat = function() return "poison" end end)
return {}
