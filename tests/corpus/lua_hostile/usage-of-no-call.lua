-- expect: lua.timeout|lua.error
while true do ctx.usage.finish(1, {cost = 1}) end
