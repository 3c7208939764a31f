-- expect: lua.timeout|lua.error
while true do pcall(string.find, ("a"):rep(40), ("a?"):rep(40) .. ("a"):rep(41)) end
