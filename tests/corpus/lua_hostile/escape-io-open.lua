-- expect: lua.denied
io.open("/etc/passwd")
