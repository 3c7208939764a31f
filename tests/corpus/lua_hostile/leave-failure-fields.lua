-- expect: failed
local e = ctx.fail{message = "y"}
e.kind = ("k"):rep(1e6) e.message = ("\0\27"):rep(1e6) e.after_ms = math.mininteger e.code = 1
return e
