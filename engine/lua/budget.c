/* Time and instruction limits. The count hook gives way at slice ends and raises when the budget is gone, again at every later hook, so that
 * a pcall loop cannot eat the error. C functions run without hooks: the flight page and the engine's kill are for those. */
#include "base/clock.h"
#include "lua/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOOK_INSTRUCTIONS 1000
#define CLOCK_UNITS 50000 /* how much work in C may pass between two looks at the clock */

static const char expired_key, memory_key; /* their addresses are the error values */

bool bw_budget_is_sentinel(lua_State *L, int index)
{
    const void *value = lua_touserdata(L, index);
    return lua_islightuserdata(L, index) && (value == &expired_key || value == &memory_key);
}

static void raise_expired(lua_State *L)
{
    struct bw_script *script = bw_lua_script(L);
    script->is_expired = true;
    script->is_spent = true;
    lua_pushlightuserdata(L, (void *)&expired_key);
    lua_error(L);
}

static void on_count(lua_State *L, lua_Debug *info)
{
    struct bw_script *script = bw_lua_script(L);
    (void)info;
    if (script->is_expired) raise_expired(L);
    if (script->mode == BW_MODE_EXPR) {
        script->instructions_left -= HOOK_INSTRUCTIONS;
        if (script->instructions_left <= 0) raise_expired(L);
    } else if (script->mode == BW_MODE_TASK) {
        int64_t now = bw_clock_mono_us();
        if (now >= script->deadline_us) raise_expired(L);
        if (now >= script->slice_end_us && lua_isyieldable(L)) lua_yield(L, 0);
    }
}

void bw_budget_charge(lua_State *L, uint64_t units)
{
    struct bw_script *script = bw_lua_script(L);
    if (script->mode == BW_MODE_EXPR) {
        script->instructions_left -= (int64_t)units;
        if (script->instructions_left <= 0) raise_expired(L);
    } else if (script->mode == BW_MODE_TASK && (script->uncharged += units) >= CLOCK_UNITS) {
        script->uncharged = 0;
        if (bw_clock_mono_us() >= script->deadline_us) raise_expired(L);
    }
}

void bw_budget_install(lua_State *L)
{
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
}

/* In expressions nil can be indexed (`a.b.c or "x"` never throws); in code it is an error as everywhere in Lua. */
static int index_nil(lua_State *L)
{
    lua_pushnil(L);
    return 1;
}

static const char nil_metatable_key;

static void set_nil_metatable(lua_State *L, bool on)
{
    lua_pushnil(L);
    if (on)
        lua_rawgetp(L, LUA_REGISTRYINDEX, &nil_metatable_key);
    else
        lua_pushnil(L);
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static int make_nil_metatable(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, index_nil);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &nil_metatable_key);
    return 0;
}

void bw_budget_begin_expr(struct bw_script *script)
{
    script->mode = BW_MODE_EXPR;
    script->is_expired = false;
    script->instructions_left = script->limits.expr_instructions;
    if (lua_rawgetp(script->L, LUA_REGISTRYINDEX, &nil_metatable_key) == LUA_TNIL) bw_lua_protected(script, make_nil_metatable, NULL, 0, NULL);
    lua_pop(script->L, 1);
    set_nil_metatable(script->L, true);
}

void bw_budget_begin_task(struct bw_script *script, int64_t deadline_us)
{
    script->mode = BW_MODE_TASK;
    script->is_expired = false;
    script->deadline_us = deadline_us;
    script->slice_end_us = bw_clock_mono_us() + script->limits.slice_us;
}

void bw_budget_end(struct bw_script *script)
{
    if (script->mode == BW_MODE_EXPR) set_nil_metatable(script->L, false);
    script->mode = BW_MODE_IDLE;
}

/* "expr:3: text" or "code:3: text" → 3; *text is moved behind it. */
static int take_line(const char **text)
{
    const char *at = *text;
    char *end;
    if (strncmp(at, "expr:", 5) && strncmp(at, "code:", 5)) return 0;
    long line = strtol(at + 5, &end, 10);
    if (*end != ':') return 0;
    *text = end[1] == ' ' ? end + 2 : end + 1;
    return (int)line;
}

/* Without calling user code: __tostring of an error object could loop. */
static const char *plain_text(lua_State *L, int index, char *buf, size_t size)
{
    switch (lua_type(L, index)) {
    case LUA_TSTRING: return lua_tostring(L, index);
    case LUA_TNUMBER: snprintf(buf, size, "%.14g", (double)lua_tonumber(L, index)); return buf;
    case LUA_TBOOLEAN: return lua_toboolean(L, index) ? "true" : "false";
    case LUA_TNIL: return "nil";
    default: snprintf(buf, size, "an error object (%s)", lua_typename(L, lua_type(L, index))); return buf;
    }
}

void bw_lua_error(struct bw_script *script, lua_State *L, int status, const struct bw_code_place *place, const char *code, struct bw_error *err)
{
    char buf[64];
    int line = 0;
    bool is_memory = status == LUA_ERRMEM || (lua_islightuserdata(L, -1) && lua_touserdata(L, -1) == &memory_key);
    if (is_memory) {
        script->is_spent = true;
        bw_error_set(err, "lua.memory", "the code needs more than %zu bytes of memory", script->memory.cap);
        bw_error_hint(err, "keep less at once, or raise lua_memory in bellwire.yaml");
    } else if (bw_budget_is_sentinel(L, -1)) {
        script->is_spent = true;
        bw_error_set(err, script->mode == BW_MODE_TASK ? "lua.timeout" : "expr.budget",
                     script->mode == BW_MODE_TASK ? "the code ran longer than its step may" : "the expression needs more than %u instructions",
                     script->limits.expr_instructions);
        if (script->mode == BW_MODE_TASK) bw_error_hint(err, "look for a loop that does not end, or give the step a longer `timeout`");
    } else {
        const char *text = plain_text(L, lua_gettop(L), buf, sizeof buf);
        line = take_line(&text);
        bw_error_set(err, code, "%s", text);
    }
    if (place->file) bw_error_at(err, place->file, place->line + (line ? line - 1 : 0), line > 1 ? 0 : place->column);
    lua_pop(L, 1);
}

/* ---- pcall and xpcall that do not catch budget errors ---- */

static int finish_pcall(lua_State *L, int status, lua_KContext extra)
{
    if (status != LUA_OK && status != LUA_YIELD) {
        if (status == LUA_ERRMEM) {
            lua_settop(L, 0);
            lua_pushlightuserdata(L, (void *)&memory_key);
            return lua_error(L);
        }
        if (bw_budget_is_sentinel(L, -1)) return lua_error(L);
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    return lua_gettop(L) - (int)extra;
}

int bw_budget_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return finish_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall), 0);
}

/* The handler runs after the unwinding: a handler that loops or fails cannot keep the error alive. */
static int finish_xpcall(lua_State *L, int status, lua_KContext extra)
{
    (void)extra;
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
    if (status == LUA_ERRMEM) {
        lua_settop(L, 0);
        lua_pushlightuserdata(L, (void *)&memory_key);
        return lua_error(L);
    }
    if (bw_budget_is_sentinel(L, -1)) return lua_error(L);
    lua_pushvalue(L, 1);
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

int bw_budget_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int arguments = lua_gettop(L) - 2;
    lua_pushvalue(L, 1); /* handler, function, args… → handler, true, function, args… */
    lua_pushvalue(L, 2);
    lua_replace(L, 1);
    lua_replace(L, 2);
    lua_pushvalue(L, 2);
    lua_insert(L, 3);
    lua_pushboolean(L, 1);
    lua_replace(L, 2);
    return finish_xpcall(L, lua_pcallk(L, arguments, LUA_MULTRET, 0, 0, finish_xpcall), 0);
}
