-- expect: lua.denied
package.loadlib("libc.so.6", "system")
