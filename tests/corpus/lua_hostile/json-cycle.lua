-- expect: lua.timeout
local t = {} t.t = t
while true do pcall(ctx.json.encode, t) end
