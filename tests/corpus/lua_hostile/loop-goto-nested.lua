-- expect: lua.timeout
::a:: do goto b end ::b:: goto a
