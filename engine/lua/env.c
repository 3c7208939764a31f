/* The environment by allow-list. Library tables are read-only proxies; each run gets a fresh table in front of them. */
#include "lua/internal.h"
#include <lualib.h>
#include <stdio.h>
#include <string.h>

static const char code_env_key;
const char bw_env_expr_key;

static const char *const base_names[] = {"assert", "error", "ipairs", "next", "pairs", "rawequal", "rawget", "rawlen", "select", "type"};
static const char *const string_names[] = {"len", "sub"}; /* lib_string.c adds the rest */
static const char *const math_names[] = {"abs",        "acos",       "asin", "atan", "ceil", "cos", "deg",  "exp", "floor",     "fmod", "huge", "log",
                                         "maxinteger", "mininteger", "modf", "pi",   "rad",  "sin", "sqrt", "tan", "tointeger", "type", "ult"};
static const char *const utf8_names[] = {"charpattern", "codes"};

static int refuse_write(lua_State *L)
{
    return luaL_error(L, "lua.denied: this table is read-only");
}

void bw_env_protect(lua_State *L, lua_CFunction call)
{
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    if (call) {
        lua_pushcfunction(L, call);
        lua_setfield(L, -2, "__call");
    }
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

static void copy_names(lua_State *L, int from, int to, const char *const *names, size_t count)
{
    from = lua_absindex(L, from);
    to = lua_absindex(L, to);
    for (size_t i = 0; i < count; i++) {
        lua_getfield(L, from, names[i]);
        lua_setfield(L, to, names[i]);
    }
}

/* ---- wrapped functions ---- */

/* Finalisers run without limits, also when the state is closed. (Set later into a metatable that is in use, __gc does nothing.) */
static int safe_setmetatable(lua_State *L)
{
    static const char *const refused[] = {"__gc", "__mode", "__metatable"};
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
    for (size_t i = 0; lua_istable(L, 2) && i < sizeof refused / sizeof *refused; i++) {
        lua_pushstring(L, refused[i]);
        if (lua_rawget(L, 2) != LUA_TNIL) return luaL_error(L, "lua.denied: %s is not available in metatables", refused[i]);
        lua_pop(L, 1);
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int safe_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_istable(L, 1) || !lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    luaL_getmetafield(L, 1, "__metatable");
    if (lua_type(L, -1) == LUA_TBOOLEAN) return 1;
    lua_settop(L, 2);
    return 1;
}

static int safe_rawset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL && luaL_getmetafield(L, 1, "__newindex") != LUA_TNIL) return refuse_write(L);
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 1;
}

static int denied(lua_State *L)
{
    return luaL_error(L, "lua.denied: '%s' is not available in Bellwire", lua_tostring(L, lua_upvalueindex(1)));
}

static int refuse_require(lua_State *L)
{
    return luaL_error(L, "lua.denied: 'require' is there in the files of actions only: see `bellwire new action`");
}

/* The named functions of a standard library, then what `wrap` adds or replaces; a read-only table in env. */
static void add_library(lua_State *L, int env, const char *name, lua_CFunction open, const char *const *names, size_t count,
                        void (*wrap)(lua_State *, int, int))
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    lua_createtable(L, 0, (int)count);
    copy_names(L, -2, -1, names, count);
    if (wrap) wrap(L, -2, -1);
    if (open == luaopen_string) { /* ("x"):rep(9) reaches the library by the strings' metatable: it must be the same one */
        lua_pushliteral(L, "");
        lua_getmetatable(L, -1);
        lua_pushvalue(L, -3);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        lua_pop(L, 2);
    }
    bw_env_protect(L, NULL);
    lua_setfield(L, env, name);
    lua_pop(L, 1);
}

#define NAMES(list) list, sizeof list / sizeof *list

/* Most code uses one or two of them, and states are many: a library is made when it is asked for. Pushes it; false: there is none of that name. */
static bool push_library(lua_State *L, int env, const char *name)
{
    if (!strcmp(name, LUA_TABLIBNAME)) {
        lua_createtable(L, 0, 8);
        luaL_setfuncs(L, bw_table_functions, 0);
        bw_env_protect(L, NULL);
        lua_setfield(L, env, name);
    } else if (!strcmp(name, LUA_MATHLIBNAME)) {
        add_library(L, env, name, luaopen_math, NAMES(math_names), bw_string_wrap_math);
    } else if (!strcmp(name, LUA_UTF8LIBNAME)) {
        add_library(L, env, name, luaopen_utf8, NAMES(utf8_names), bw_string_wrap_utf8);
    } else {
        return false;
    }
    lua_getfield(L, env, name);
    return true;
}

bool bw_env_push_library(lua_State *L, const char *name)
{
    if (strcmp(name, LUA_TABLIBNAME) && strcmp(name, LUA_MATHLIBNAME) && strcmp(name, LUA_UTF8LIBNAME)) return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &code_env_key);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    return true;
}

/* What people try first gets an answer that says so, instead of "attempt to index a nil value". */
static int missing_index(lua_State *L)
{
    static const char *const tables[] = {"os", "io", "debug", "package", "coroutine"};
    static const char *const functions[] = {"load", "loadstring", "loadfile", "dofile", "collectgarbage", "warn", "getfenv", "setfenv"};
    if (lua_type(L, 2) != LUA_TSTRING) return 0;
    const char *name = lua_tostring(L, 2);
    if (push_library(L, 1, name)) return 1;
    if (!strcmp(name, "require")) { /* files of actions that use it have it */
        lua_pushcfunction(L, refuse_require);
        return 1;
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(functions[i], name)) {
            lua_settop(L, 2);
            lua_pushcclosure(L, denied, 1);
            return 1;
        }
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (strcmp(tables[i], name) != 0) continue;
        lua_createtable(L, 0, 0);
        lua_createtable(L, 0, 3);
        lua_pushvalue(L, 2);
        lua_pushcclosure(L, denied, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "__index");
        lua_setfield(L, -2, "__newindex");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        lua_setmetatable(L, -2);
        return 1;
    }
    return 0;
}

void bw_env_open_libraries(lua_State *L)
{
    static const luaL_Reg wrapped[] = {{"pcall", bw_budget_pcall},
                                       {"xpcall", bw_budget_xpcall},
                                       {"setmetatable", safe_setmetatable},
                                       {"getmetatable", safe_getmetatable},
                                       {"rawset", safe_rawset},
                                       {"tostring", bw_string_tostring},
                                       {"print", bw_api_print},
                                       {NULL, NULL}};
    lua_createtable(L, 0, 24);
    int env = lua_gettop(L);
    lua_pushcfunction(L, luaopen_base); /* fills the globals, which no user code ever sees */
    lua_call(L, 0, 1);
    copy_names(L, -1, env, NAMES(base_names));
    bw_string_wrap_number(L, -1, env);
    lua_pop(L, 1);
    lua_pushvalue(L, env);
    luaL_setfuncs(L, wrapped, 0);
    lua_pop(L, 1);
    add_library(L, env, LUA_STRLIBNAME, luaopen_string, NAMES(string_names), bw_string_wrap);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, missing_index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, env);
    lua_pushvalue(L, env);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &code_env_key);
    lua_createtable(L, 0, 16); /* the expressions' environment: names and helpers, most of which come when they are asked for */
    copy_names(L, env, -1, (const char *const[]){"string", "tonumber", "tostring", "type", "pairs", "ipairs", "select"}, 7);
    bw_helpers_register(L, lua_gettop(L));
    bw_scope_open(L, lua_gettop(L));
    bw_env_protect(L, NULL); /* a function literal could assign otherwise, and the next run would find it */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &bw_env_expr_key);
    lua_pop(L, 1);
    lua_createtable(L, 0, 0); /* what luaopen_base has filled is of no use any more */
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}

void bw_env_push_fresh(lua_State *L)
{
    lua_createtable(L, 0, 8);
    lua_createtable(L, 0, 2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &code_env_key);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}
