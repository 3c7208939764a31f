-- expect: lua.memory|lua.error|lua.timeout|ok
pcall(ctx.http, {method = "POST", url = "http://127.0.0.1:1/", body = ("x"):rep(5e6)}) return {}
