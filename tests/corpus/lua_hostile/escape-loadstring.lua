-- expect: lua.denied
loadstring("return 1")
