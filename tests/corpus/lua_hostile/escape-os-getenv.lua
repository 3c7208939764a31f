-- expect: lua.denied
return {x = os.getenv("PATH")}
