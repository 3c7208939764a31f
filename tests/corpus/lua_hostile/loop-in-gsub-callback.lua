-- expect: lua.timeout
return {x = ("a"):gsub("a", function() while true do end end)}
