-- expect: ok
local function f() local _ENV <const> = {} return x end
assert(f() == nil and not pcall(setmetatable, _ENV, nil))
_ENV = {}
return {}
