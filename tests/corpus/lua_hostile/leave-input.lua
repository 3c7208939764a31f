-- expect: ok
input.list[1] = "evil" input.extra = print
return {n = #input.list}
