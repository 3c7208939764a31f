-- expect: ok
local big, small = math.maxinteger, math.mininteger
for _, f in ipairs{string.sub, string.byte, utf8.codepoint, utf8.len, utf8.offset, string.rep, string.find, string.match, string.gmatch, table.concat, table.unpack, table.move, table.insert, table.remove, select, utf8.char, string.char, math.abs, math.fmod, math.ult} do
  for _, a in ipairs{"x", {1, 2}, 1} do for _, b in ipairs{big, small, 0, -1, 0/0, 1/0, "x"} do for _, c in ipairs{big, small, 1, -1, 0/0} do pcall(f, a, b, c) pcall(f, a, b, c, c) pcall(f, b, a, c) pcall(f, b, c, a, b, c) end end end
end
return {}
