-- expect: ok
pcall(ctx.http, {method = "POST", url = "http://127.0.0.1:1/", query = {a = ("&"):rep(5e6), b = ("&"):rep(5e6)}})
return {}
