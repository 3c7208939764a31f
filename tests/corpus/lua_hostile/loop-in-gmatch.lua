-- expect: lua.timeout
for _ in ("x"):rep(1000):gmatch("") do while true do end end
