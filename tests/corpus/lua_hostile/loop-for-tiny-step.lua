-- expect: lua.timeout
for _ = 0, 1, 1e-300 do end
