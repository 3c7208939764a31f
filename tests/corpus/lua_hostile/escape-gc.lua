-- expect: lua.denied
setmetatable({}, {__gc = print})
