-- expect: ok
function tostring() return "evil" end
function pcall() return true end
ctx2 = ctx
return {}
