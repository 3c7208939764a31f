-- expect: lua.denied|lua.error
rawset(ctx, "http", print)
