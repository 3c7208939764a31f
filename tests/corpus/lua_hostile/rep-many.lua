-- expect: lua.timeout|lua.memory
while true do local s = ("x"):rep(10e6) end
