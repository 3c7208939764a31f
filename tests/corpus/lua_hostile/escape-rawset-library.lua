-- expect: lua.denied
rawset(string, "rep", print)
