-- expect: ok
ctx.part.call(setmetatable({name = "x[1]"}, {__len = function() return 1 << 62 end, __index = assert}))
