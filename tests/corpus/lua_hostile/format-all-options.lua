-- expect: ok
for _, c in ipairs{"d","i","u","c","e","E","f","g","G","a","A","o","x","X","q","s","p","b","n","%","*d","ld","hd","$d","1$d"} do for _, f in ipairs{"", "-", "+", " ", "#", "0", "99", "0.99", ".", ".-1", "999", ".999", "-+ #0"} do pcall(string.format, "%" .. f .. c, 1e308) pcall(string.format, "%" .. f .. c, "x") pcall(string.format, "%" .. f .. c) pcall(string.format, "%" .. f .. c, {}) end end
return {}
