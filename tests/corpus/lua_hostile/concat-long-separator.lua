-- expect: lua.memory|lua.timeout
return {x = table.concat({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, ("x"):rep(4e6))}
