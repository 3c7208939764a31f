/* The state in which the files of a revision are loaded. Nothing of one file is seen by the next: libraries are read-only, and each has an
 * environment of its own. It is made anew when a file has used up its time or its memory. */
#include "lua/internal.h"
#include <stdlib.h>
#include <string.h>

#define LOAD_INSTRUCTIONS 10000000

struct bw_loader {
    struct bw_script script;
    struct bw_script_limits limits;
    bool is_open;
};

struct bw_loader *bw_loader_new(const struct bw_script_limits *limits)
{
    struct bw_loader *loader = calloc(1, sizeof *loader);
    if (!loader) return NULL;
    loader->limits = *limits;
    loader->limits.expr_instructions = LOAD_INSTRUCTIONS;
    return loader;
}

static void close_state(struct bw_loader *loader)
{
    bw_lua_close(&loader->script);
    loader->script = (struct bw_script){0};
    loader->is_open = false;
}

void bw_loader_free(struct bw_loader *loader)
{
    if (!loader) return;
    close_state(loader);
    free(loader);
}

static bool open_state(struct bw_loader *loader, struct bw_error *err)
{
    if (loader->is_open && bw_script_is_spent(&loader->script)) close_state(loader);
    if (loader->is_open) return true;
    if (!bw_lua_open(&loader->script, &loader->limits, err)) {
        close_state(loader);
        return false;
    }
    bw_budget_install(loader->script.L);
    loader->script.compiled_bytes = loader->script.memory.used;
    loader->is_open = true;
    return true;
}

bool bw_loader_call(struct bw_loader *loader, lua_CFunction fn, void *arg, const struct bw_code_place *place, const char *code, struct bw_error *err)
{
    if (!open_state(loader, err)) return false;
    struct bw_script *script = &loader->script;
    lua_State *L = script->L;
    script->mode = BW_MODE_EXPR; /* an instruction budget; nil stays an error to index */
    script->is_expired = false;
    script->first_look_us = 0;
    script->instructions_left = LOAD_INSTRUCTIONS;
    script->memory.running = L;
    bw_budget_install(L);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) {
        bool is_syntax = lua_type(L, -1) == LUA_TSTRING && strstr(lua_tostring(L, -1), " near ");
        bw_lua_error(script, L, status, place, is_syntax ? "lua.syntax" : code, err);
        if (!strcmp(err->code, "expr.budget")) {
            bw_error_set(err, "lua.timeout", "loading this file does not end");
            bw_error_at(err, place->file, 0, 0);
        }
    }
    script->mode = BW_MODE_IDLE;
    script->memory.running = NULL;
    return status == LUA_OK;
}
