/* Time and instruction limits. The count hook gives way at slice ends and raises when the budget is gone, again at every later hook, so that
 * a pcall loop cannot eat the error. C functions run without hooks: the flight page and the engine's kill are for those. */
#include "base/clock.h"
#include "lua/internal.h"

#define HOOK_INSTRUCTIONS 1000
#define EASY_BYTES (32u << 10) /* in large blocks: up to here no instruction takes long */
#define EXPR_US 500000         /* of the processor, for all that is evaluated at once, or for loading a file */
#define PCALL_DEPTH_MAX 100
#define CLOCK_UNITS 50000 /* how much work in C may pass between two looks at the clock */
#define UNSEEN_UNITS 2    /* what a call costs an expression that C makes of something that no hook may see */

static const char expired_key, memory_key; /* their addresses are the error values */

enum bw_sentinel bw_budget_sentinel(lua_State *L, int index)
{
    const void *value = lua_touserdata(L, index);
    if (!lua_islightuserdata(L, index)) return BW_SENTINEL_NONE;
    return value == &expired_key ? BW_SENTINEL_EXPIRED : value == &memory_key ? BW_SENTINEL_MEMORY : BW_SENTINEL_NONE;
}

static void raise_expired(lua_State *L)
{
    struct bw_script *script = bw_lua_script(L);
    script->is_expired = true;
    script->is_spent = true;
    bw_budget_install(L);
    lua_pushlightuserdata(L, (void *)&expired_key);
    lua_error(L);
}

/* A text that fills the memory takes milliseconds to be compared, or to be read as a number, and each is one instruction: the larger what there is,
 * the fewer of them, in steps of two. Behind the deadline only what is to be closed is still called, and that may be hundreds of thousands: none of
 * it gets further than its first instruction. */
static int instructions_until_hook(const struct bw_script *script)
{
    int instructions = HOOK_INSTRUCTIONS;
    if (script->is_expired) return 1;
    for (size_t bytes = script->memory.large; bytes > EASY_BYTES && instructions > 1; bytes /= 2) instructions /= 2;
    return instructions;
}

/* What an expression may do is counted, so that it is the same everywhere. But one instruction can take milliseconds, and a worker that has spent two
 * seconds in one is ended, with all that others do in it. */
static bool is_slow(struct bw_script *script)
{
    int64_t now = bw_clock_mono_us();
    if (!script->first_look_us) {
        script->first_look_us = now;
        script->first_look_cpu_us = bw_clock_cpu_us();
    }
    script->is_slow = now - script->first_look_us > EXPR_US && bw_clock_cpu_us() - script->first_look_cpu_us > EXPR_US;
    return script->is_slow;
}

static void on_count(lua_State *L, lua_Debug *info)
{
    struct bw_script *script = bw_lua_script(L);
    int passed = lua_gethookcount(L);
    (void)info;
    bw_budget_install(L);
    script->memory.since_hook = 0;
    if (script->is_expired) raise_expired(L);
    if (script->mode == BW_MODE_EXPR) {
        script->instructions_left -= passed;
        if (script->instructions_left <= 0 || is_slow(script)) raise_expired(L);
    } else if (script->mode == BW_MODE_TASK) {
        int64_t now = bw_clock_mono_us();
        if (now >= script->deadline_us) raise_expired(L);
        if (now >= script->slice_end_us && lua_isyieldable(L)) lua_yield(L, 0);
    }
}

/* Lua walks all calls of a stack to set a hook, which a thread keeps while it waits. A stack of 200,000 calls would spend more than its slice on it.
 */
void bw_budget_install(lua_State *L)
{
    struct bw_script *script = bw_lua_script(L);
    int instructions = instructions_until_hook(script);
    script->memory.large_until = 2 * (script->memory.large > EASY_BYTES ? script->memory.large : EASY_BYTES);
    if (lua_gethook(L) != on_count || lua_gethookcount(L) != instructions) lua_sethook(L, on_count, LUA_MASKCOUNT, instructions);
}

void bw_budget_hurry(lua_State *L)
{
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
}

void bw_budget_charge(lua_State *L, uint64_t units)
{
    struct bw_script *script = bw_lua_script(L);
    if (script->mode == BW_MODE_EXPR) {
        script->instructions_left -= (int64_t)units;
        if (script->instructions_left <= 0) raise_expired(L);
    } else if (script->mode == BW_MODE_TASK && (script->is_expired || (script->uncharged += units) >= CLOCK_UNITS)) {
        script->uncharged = 0;
        if (script->is_expired || bw_clock_mono_us() >= script->deadline_us) raise_expired(L);
    }
}

void bw_budget_look(lua_State *L)
{
    struct bw_script *script = bw_lua_script(L);
    bw_budget_charge(L, script->mode == BW_MODE_TASK ? CLOCK_UNITS : UNSEEN_UNITS);
    if (script->mode == BW_MODE_EXPR && is_slow(script)) raise_expired(L);
}

/* In expressions nil can be indexed (`a.b.c or "x"` never throws), numbers and booleans too; in code it is an error as everywhere in Lua. */
static const char soft_key; /* registry: the metatable whose __index is an empty table */

void bw_budget_open(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_createtable(L, 0, 0);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &soft_key);
}

/* Setting a type's metatable allocates nothing and cannot raise. */
static void set_soft(lua_State *L, bool on)
{
    if (on)
        lua_rawgetp(L, LUA_REGISTRYINDEX, &soft_key);
    else
        lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, -2);
    lua_setmetatable(L, -2);
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -3);
    lua_setmetatable(L, -2);
    lua_pushinteger(L, 0);
    lua_pushvalue(L, -4);
    lua_setmetatable(L, -2);
    lua_pop(L, 4);
}

void bw_budget_begin_expr(struct bw_script *script)
{
    script->mode = BW_MODE_EXPR;
    script->is_expired = false;
    script->first_look_us = 0;
    script->instructions_left = script->limits.expr_instructions;
    script->memory.running = script->L;
    script->memory.expr_cap = script->limits.expr_bytes ? script->memory.used + script->limits.expr_bytes : 0;
    script->memory.was_expr_hit = false;
    lua_sethook(script->L, on_count, LUA_MASKCOUNT, instructions_until_hook(script)); /* counts anew: each expression has the same budget */
    set_soft(script->L, true);
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
    if (script->mode == BW_MODE_EXPR) set_soft(script->L, false);
    script->mode = BW_MODE_IDLE;
    script->memory.running = NULL;
    script->memory.expr_cap = 0;
}

/* ---- pcall and xpcall that do not catch budget errors ----
 *
 * Their nesting is bounded: after the first caught error Lua no longer counts the C levels below, `pcall(f)` inside f could nest without end, and
 * leaving it is quadratic (each recovery walks all calls): 14 s were measured where the deadline was 100 ms. */

void bw_budget_enter_pcall(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    if (!task) return;
    if (task->pcall_depth >= PCALL_DEPTH_MAX) luaL_error(L, "pcall or ctx.cache.fetch is nested more than %d deep", PCALL_DEPTH_MAX);
    task->pcall_depth++;
}

void bw_budget_leave_pcall(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    if (task) task->pcall_depth--;
}

int bw_budget_raise_again(lua_State *L, int status)
{
    if (status == LUA_ERRMEM) {
        lua_settop(L, 0);
        lua_pushlightuserdata(L, (void *)&memory_key);
    }
    return lua_error(L);
}

static int finish_pcall(lua_State *L, int status, lua_KContext extra)
{
    struct bw_task *task = bw_lua_script(L)->task;
    bw_budget_leave_pcall(L);
    if (status != LUA_OK && status != LUA_YIELD) {
        if (task) task->unused_failure = NULL; /* raised, and caught by intent */
        if (status == LUA_ERRMEM || bw_budget_sentinel(L, -1)) return bw_budget_raise_again(L, status);
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    return lua_gettop(L) - (int)extra;
}

int bw_budget_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    bw_budget_enter_pcall(L);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return finish_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall), 0);
}

/* The handler runs after the unwinding: a handler that loops or fails cannot keep the error alive. */
static int finish_xpcall(lua_State *L, int status, lua_KContext extra)
{
    struct bw_task *task = bw_lua_script(L)->task;
    (void)extra;
    bw_budget_leave_pcall(L);
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
    if (task) task->unused_failure = NULL;
    if (status == LUA_ERRMEM || bw_budget_sentinel(L, -1)) return bw_budget_raise_again(L, status);
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
    bw_budget_enter_pcall(L);
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
