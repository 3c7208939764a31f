-- expect: lua.error
ctx.secret("TOKEN")
