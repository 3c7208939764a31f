-- expect: lua.memory
return {x = (""):rep(1 << 50, "ab")}
