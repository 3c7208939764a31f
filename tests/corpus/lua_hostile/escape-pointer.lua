-- expect: lua.denied
return {x = ("%p"):format(print)}
