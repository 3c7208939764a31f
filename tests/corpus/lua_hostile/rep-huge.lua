-- expect: lua.memory
return {x = ("x"):rep(1 << 50)}
