-- expect: ok|lua.error
local f = ctx.fail{code = "x"} f.code = "evil" f.kind = nil
return {}
