-- expect: lua.denied
load("return 1")
