-- expect: lua.denied
debug.getregistry()
