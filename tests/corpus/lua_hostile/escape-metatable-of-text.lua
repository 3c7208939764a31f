-- expect: lua.error|lua.denied
getmetatable("").__index.rep = print
