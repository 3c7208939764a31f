-- expect: lua.timeout
while true do end
