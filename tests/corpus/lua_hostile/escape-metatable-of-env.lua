-- expect: lua.error|lua.denied
setmetatable(_ENV, {__index = print})
