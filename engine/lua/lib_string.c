/* The rest of the `string` library: what may grow is capped before it is made, what is linear is charged, and no text tells an address. */
#include "lua/internal.h"

#define BYTES_PER_UNIT 64
#define QUOTED_BYTES_MAX (1 << 20) /* by one call: a byte may take a hundred nanoseconds */

static int rep(lua_State *L)
{
    size_t len, separator_len;
    const char *text = luaL_checklstring(L, 1, &len), *separator = luaL_optlstring(L, 3, "", &separator_len);
    lua_Integer count = luaL_checkinteger(L, 2);
    luaL_Buffer out;
    if (count <= 0 || (!len && !separator_len)) { /* 2^60 times nothing is nothing */
        lua_pushliteral(L, "");
        return 1;
    }
    const struct bw_script *script = bw_lua_script(L);
    bool is_expr = script->memory.expr_cap > 0;
    if ((uint64_t)count > (is_expr ? script->limits.expr_bytes : script->memory.cap) / (len + separator_len))
        return luaL_error(L, "%s: the resulting text is too large", is_expr ? "expr.memory" : "lua.memory");
    size_t total = (size_t)count * (len + separator_len) - separator_len;
    bw_budget_charge(L, total / BYTES_PER_UNIT);
    char *at = luaL_buffinitsize(L, &out, total);
    memcpy(at, text, len);
    if (count > 1) memcpy(at + len, separator, separator_len);
    for (size_t done = len + separator_len; done < total; done *= 2) /* what is there already, once more: few copies, however short the text is */
        memcpy(at + done, at, done <= total - done ? done : total - done);
    luaL_pushresultsize(&out, total);
    return 1;
}

/* Addresses would help to get around ASLR: tables and functions are named by their type, unless they have a __tostring. */
int bw_string_tostring(lua_State *L)
{
    struct bw_slice sealed;
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (bw_secret_test(L, 1, &sealed)) return luaL_error(L, "a secret cannot be turned into text");
    if (luaL_callmeta(L, 1, "__tostring")) {
        if (lua_type(L, -1) != LUA_TSTRING) return luaL_error(L, "'__tostring' must return a string");
    } else if (lua_islightuserdata(L, 1)) {
        lua_pushliteral(L, "null");
    } else if (lua_type(L, 1) >= LUA_TTABLE) {
        lua_pushstring(L, luaL_typename(L, 1));
    } else {
        luaL_tolstring(L, 1, NULL);
    }
    return 1;
}

/* Texts are read as numbers where such are wanted, each in a time that grows with it, and one text can be given a hundred thousand times. */
static void charge_arguments(lua_State *L)
{
    size_t bytes = 0;
    for (int i = lua_gettop(L); i >= 1; i--)
        if (lua_type(L, i) == LUA_TSTRING) bytes += lua_rawlen(L, i);
    if (bytes > bw_lua_script(L)->memory.cap) luaL_error(L, "lua.memory: the texts that are given to one call are too large");
    bw_budget_charge(L, bytes / BYTES_PER_UNIT);
}

/* %s goes through our tostring, %p is refused; the rest is the real string.format (upvalue 1). */
static int format(lua_State *L)
{
    size_t len;
    const char *at = luaL_checklstring(L, 1, &len);
    int argument = 1, top = lua_gettop(L);
    size_t quoted = 0;
    charge_arguments(L);
    bw_budget_charge(L, len / 8); /* each letter is looked at twice */
    while ((at = strchr(at, '%'))) {
        at += 1 + strspn(at + 1, "-+ #0123456789.");
        if (*at == '\0') break;
        if (*at++ == '%') continue;
        if (at[-1] == 'p') return luaL_error(L, "lua.denied: '%%p' is not available: it would show an address");
        ++argument;
        if (at[-1] == 'q' && lua_type(L, argument) == LUA_TSTRING && (quoted += lua_rawlen(L, argument)) > QUOTED_BYTES_MAX)
            return luaL_error(L, "lua.memory: more than %d bytes are too much for '%%q'", QUOTED_BYTES_MAX);
        if (argument > top || at[-1] != 's' || lua_type(L, argument) == LUA_TSTRING) continue;
        lua_pushcfunction(L, bw_string_tostring);
        lua_pushvalue(L, argument);
        lua_call(L, 1, 1);
        lua_replace(L, argument);
    }
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Functions of the real libraries (upvalue 1) whose time grows with their arguments. */
static int charged(lua_State *L)
{
    charge_arguments(L);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void wrap(lua_State *L, int from, int to, const char *name, lua_CFunction wrapper)
{
    lua_getfield(L, from, name);
    lua_pushcclosure(L, wrapper, 1);
    lua_setfield(L, to, name);
}

void bw_string_wrap_number(lua_State *L, int from, int to)
{
    wrap(L, from, to, "tonumber", charged);
}

void bw_string_wrap(lua_State *L, int from, int to)
{
    static const char *const linear[] = {"byte", "char", "lower", "pack", "packsize", "reverse", "unpack", "upper"};
    from = lua_absindex(L, from);
    to = lua_absindex(L, to);
    for (size_t i = 0; i < sizeof linear / sizeof *linear; i++) wrap(L, from, to, linear[i], charged);
    wrap(L, from, to, "format", format);
    lua_pushcfunction(L, rep);
    lua_setfield(L, to, "rep");
    lua_pushvalue(L, to);
    luaL_setfuncs(L, bw_pattern_functions, 0);
    lua_pop(L, 1);
}

void bw_string_wrap_math(lua_State *L, int from, int to)
{
    from = lua_absindex(L, from);
    to = lua_absindex(L, to);
    wrap(L, from, to, "max", charged);
    wrap(L, from, to, "min", charged);
}

void bw_string_wrap_utf8(lua_State *L, int from, int to)
{
    static const char *const linear[] = {"char", "codepoint", "len", "offset"};
    from = lua_absindex(L, from);
    to = lua_absindex(L, to);
    for (size_t i = 0; i < sizeof linear / sizeof *linear; i++) wrap(L, from, to, linear[i], charged);
}
