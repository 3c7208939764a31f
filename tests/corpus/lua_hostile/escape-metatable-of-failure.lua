-- expect: lua.error|lua.denied
local f = ctx.fail{code = "x"}
getmetatable(f).__tostring = nil
