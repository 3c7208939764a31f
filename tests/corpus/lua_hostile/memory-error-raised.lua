-- expect: lua.error|lua.memory
error(("x"):rep(1.4e7))
