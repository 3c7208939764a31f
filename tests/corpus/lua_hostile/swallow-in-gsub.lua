-- expect: lua.timeout
while true do pcall(string.gsub, ("x"):rep(100), "x", function() while true do end end) end
