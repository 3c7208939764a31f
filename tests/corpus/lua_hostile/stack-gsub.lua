-- expect: lua.error|lua.memory|lua.timeout
local function f() return (("x"):gsub("x", f)) end
return {x = f()}
