-- expect: lua.error|lua.denied|ok
return {m = type(getmetatable(_ENV))}
