-- expect: lua.denied
setmetatable({}, {__mode = "k"})
