-- expect: ok
local s, h = ("x"):rep(8e6), {}
for i = 1, 60 do h["x-" .. i] = s end
pcall(ctx.http, {url = "http://127.0.0.1:1/", headers = h}) return {}
