-- expect: ok
for _, u in ipairs{"", "x", "file:///etc/passwd", "gopher://127.0.0.1:1/", "http://", "http://[::1", "http://127.0.0.1:99999/", "http://127.0.0.1:1/\x7f", "http://a b/", "http://127.0.0.1:-1/", "http:///x", "http://@:@/", "//127.0.0.1", "dict://127.0.0.1:1/", "unix:/x"} do
  assert(not pcall(ctx.http, {url = u, headers = {["content-length"] = "99", ["transfer-encoding"] = "chunked", host = "x"}}), u)
end
return {}
