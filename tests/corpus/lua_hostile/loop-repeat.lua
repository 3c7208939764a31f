-- expect: lua.timeout
repeat local x = 1 until false
