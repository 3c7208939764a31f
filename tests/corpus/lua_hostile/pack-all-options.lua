-- expect: ok|lua.memory
for _, c in ipairs{"b","B","h","H","l","L","j","J","T","i","I","i16","I16","i17","f","d","n","s","s1","s16","z","x","X","Xi16","X!","!","!16","!17","<",">","="," ","c0","c9999999","c2147483648"} do pcall(string.pack, c, 1) pcall(string.pack, c, "x") pcall(string.unpack, c, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") pcall(string.packsize, c) pcall(string.unpack, c, "", 1) pcall(string.unpack, c, "x", -5) end
return {}
