-- expect: lua.error
return {x = string.format("%9999d", 1)}
