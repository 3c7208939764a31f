-- expect: lua.error
return {x = string.dump(function() end)}
