-- expect: lua.denied
collectgarbage("stop")
