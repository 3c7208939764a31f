-- expect: lua.memory
local keep = {}
local function chain(f) local s = ("x"):rep(1e4) .. #keep return function() return f, s end end
local f = print
while true do f = chain(f) keep[#keep + 1] = f end
