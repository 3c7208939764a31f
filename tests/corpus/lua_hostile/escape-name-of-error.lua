-- expect: lua.error
error({code = ("x"):rep(1e6), message = ("y"):rep(1e6)})
