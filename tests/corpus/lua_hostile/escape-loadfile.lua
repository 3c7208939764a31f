-- expect: lua.denied
loadfile("/proc/self/environ")
