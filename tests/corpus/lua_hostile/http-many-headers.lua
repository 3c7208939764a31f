-- expect: lua.error
local h = {}
for i = 1, 1e5 do h["x-" .. i] = "1" end
ctx.http{url = "http://127.0.0.1:1/", headers = h}
