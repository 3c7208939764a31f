-- expect: lua.timeout
for _ = math.mininteger, math.maxinteger do end
