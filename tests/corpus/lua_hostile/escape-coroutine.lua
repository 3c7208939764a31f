-- expect: lua.denied
coroutine.wrap(function() end)()
