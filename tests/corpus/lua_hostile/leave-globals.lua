-- expect: ok
leaked = input leak = print string2 = string
return {}
