-- expect: lua.denied
dofile("/etc/passwd")
