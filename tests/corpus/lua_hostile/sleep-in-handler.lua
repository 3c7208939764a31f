-- expect: lua.timeout|lua.error
xpcall(error, function() ctx.sleep(1) end)
