/* Sealed secrets of expressions: they can be passed on and joined to text, nothing else. */
#include "lua/internal.h"
#include <string.h>

static const char sealed_key, table_key;

struct sealed {
    size_t len;
    char bytes[];
};

bool bw_secret_test(lua_State *L, int index, struct bw_slice *value)
{
    struct sealed *sealed = lua_touserdata(L, index);
    if (!sealed || lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &sealed_key);
    bool is_sealed = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (is_sealed) *value = (struct bw_slice){sealed->bytes, sealed->len};
    return is_sealed;
}

static char *push_sealed(lua_State *L, size_t len)
{
    struct sealed *sealed = lua_newuserdatauv(L, sizeof *sealed + len, 0);
    sealed->len = len;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &sealed_key);
    lua_setmetatable(L, -2);
    return sealed->bytes;
}

void bw_secret_push(lua_State *L, struct bw_slice value)
{
    memcpy(push_sealed(L, value.len), value.ptr, value.len);
}

static struct bw_slice side(lua_State *L, int index)
{
    struct bw_slice text;
    if (bw_secret_test(L, index, &text)) return text;
    if (!lua_isstring(L, index)) luaL_error(L, "a secret can only be joined to text, not to %s", luaL_typename(L, index));
    text.ptr = lua_tolstring(L, index, &text.len);
    return text;
}

static int sealed_concat(lua_State *L)
{
    struct bw_slice left = side(L, 1), right = side(L, 2);
    char *bytes = push_sealed(L, left.len + right.len);
    memcpy(bytes, left.ptr, left.len);
    memcpy(bytes + left.len, right.ptr, right.len);
    return 1;
}

static int sealed_refuse(lua_State *L)
{
    return luaL_error(L, "a secret can only be passed on or joined to text");
}

static int table_index(lua_State *L)
{
    const struct bw_render *render = bw_lua_script(L)->render;
    struct bw_slice name;
    name.ptr = luaL_checklstring(L, 2, &name.len);
    if (!render || !render->allow_secrets) return luaL_error(L, "secrets can only be used in the `with` of a step");
    for (size_t i = 0; i < render->grant_count; i++)
        if (bw_slice_equal(render->grants[i].name, name)) {
            bw_secret_push(L, render->grants[i].value);
            return 1;
        }
    return luaL_error(L, "the secret '%s' is not granted or not configured", name.ptr);
}

void bw_secret_push_table(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
}

void bw_secret_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__concat", sealed_concat},   {"__index", sealed_refuse},
                                       {"__newindex", sealed_refuse}, {"__len", sealed_refuse},
                                       {"__eq", sealed_refuse},       {"__lt", sealed_refuse},
                                       {"__le", sealed_refuse},       {"__call", sealed_refuse},
                                       {"__tostring", sealed_refuse}, {NULL, NULL}};
    lua_createtable(L, 0, 10);
    luaL_setfuncs(L, methods, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &sealed_key);
    lua_newuserdatauv(L, 1, 0); /* no table: passed on whole it is an error, not {} */
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, table_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, sealed_refuse);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
}
