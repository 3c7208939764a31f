/* A Lua state with capped memory. No library function outside the allow-list of env.c is reachable from user code. */
#include "lua/internal.h"
#include <stdlib.h>
#include <string.h>

#define HURRY_BYTES (4u << 20)
#define LARGE_BYTES 4096
#define COPIED_BYTES (128u << 10) /* what is larger may be there twice while it grows */

/* What malloc() takes for it: a small table is two blocks of a few words, and a third of their memory is around them. */
static size_t block_bytes(size_t size)
{
    size_t bytes = (size + sizeof(size_t) + 15) & ~(size_t)15;
    return bytes < 32 ? 32 : bytes;
}

static size_t large_bytes(size_t size)
{
    return size >= LARGE_BYTES ? size : 0;
}

static void *allocate(void *arg, void *block, size_t old_size, size_t new_size)
{
    struct bw_lua_memory *memory = arg;
    size_t wanted = new_size;
    old_size = block ? block_bytes(old_size) : 0; /* without a block it is a type tag */
    new_size = new_size ? block_bytes(new_size) : 0;
    if (!new_size) {
        memory->used -= old_size;
        memory->large -= large_bytes(old_size);
        free(block);
        return NULL;
    }
    size_t more = old_size > COPIED_BYTES ? new_size : new_size - old_size;
    if (new_size > old_size && memory->used + more > memory->cap) {
        memory->was_hit = true;
        return NULL;
    }
    if (new_size > old_size && memory->expr_cap && memory->used + (new_size - old_size) > memory->expr_cap) {
        memory->was_expr_hit = true; /* Lua collects garbage and tries again */
        return NULL;
    }
    void *moved = realloc(block, wanted);
    if (!moved) return NULL;
    memory->used += new_size - old_size;
    memory->large += large_bytes(new_size) - large_bytes(old_size);
    /* One instruction of Lua can make megabytes (`s .. s`, s:upper()): a thousand of them between two hooks would be seconds. */
    if (new_size > old_size && memory->running && ((memory->since_hook += new_size) > HURRY_BYTES || memory->large > memory->large_until)) {
        memory->since_hook = 0;
        memory->large_until = SIZE_MAX;
        bw_budget_hurry(memory->running);
    }
    return moved;
}

/* Only a worker dies of this, and only by a bug of ours: every entry is protected. */
static int on_panic(lua_State *L)
{
    (void)L;
    _Exit(70);
}

static int open_state(lua_State *L)
{
    bw_budget_open(L);
    bw_value_open(L);
    bw_view_open(L);
    bw_secret_open(L);
    bw_env_open_libraries(L);
    bw_api_open(L);
    return 0;
}

bool bw_lua_protected(struct bw_script *script, lua_CFunction fn, void *arg, int nresults, struct bw_error *err)
{
    lua_State *L = script->L;
    lua_pushcfunction(L, fn); /* a light function: no allocation */
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, nresults, 0);
    if (status == LUA_OK) return true;
    bw_lua_error(script, L, status, &(struct bw_code_place){0}, "lua.error", err);
    return false;
}

bool bw_lua_open(struct bw_script *script, const struct bw_script_limits *limits, struct bw_error *err)
{
    script->limits = *limits;
    script->memory.cap = limits->memory_bytes;
    script->event_ref = script->events_ref = LUA_NOREF;
    if (!(script->L = lua_newstate(allocate, &script->memory))) return bw_error_set(err, "memory", "no memory for a Lua state");
    lua_atpanic(script->L, on_panic);
    *(struct bw_script **)lua_getextraspace(script->L) = script;
    lua_gc(script->L, LUA_GCGEN, 0, 0);
    return bw_lua_protected(script, open_state, NULL, 0, err);
}

void bw_lua_close(struct bw_script *script)
{
    if (script->L) lua_close(script->L); /* no finaliser of user code can exist: setmetatable refuses __gc */
    script->L = NULL;
}
