-- expect: lua.error
error(input.list)
