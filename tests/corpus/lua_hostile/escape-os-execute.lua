-- expect: lua.denied
os.execute("id")
