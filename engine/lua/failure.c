/* From a Lua error to a bw_error: what was raised, where, and of which kind. No code of users runs here (a __tostring could loop), and what may
 * raise for want of memory is protected: an error while an error is read is lua.memory. */
#include "lua/internal.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* The chunks' own names are the files' names; Lua shortens long ones to "...tail". */
static bool names_file(struct bw_slice name, const char *file)
{
    size_t len = strlen(file);
    if (bw_slice_is(name, file)) return true;
    return name.len > 3 && !memcmp(name.ptr, "...", 3) && len >= name.len - 3 && !memcmp(file + len - (name.len - 3), name.ptr + 3, name.len - 3);
}

/* Which of the files that the code consists of. NULL: none. */
static const char *file_named(struct bw_slice name, const struct bw_code_place *place)
{
    const struct bw_action *action = place->action;
    if (place->file && names_file(name, place->file)) return place->file;
    for (size_t i = 0; action && i < action->module_count; i++)
        if (names_file(name, action->modules[i]->file)) return action->modules[i]->file;
    return NULL;
}

/* "FILE:3: text" → 3, *text is moved behind it, and *file is that one; "helpers:3: text" → 0, moved too. Anything else stays. */
static int take_line(const char **text, const struct bw_code_place *place, const char **file)
{
    for (const char *at = strchr(*text, ':'); at; at = strchr(at + 1, ':')) {
        char *end;
        struct bw_slice name = {*text, (size_t)(at - *text)};
        if (!isdigit((unsigned char)at[1])) continue;
        long line = strtol(at + 1, &end, 10);
        if (end[0] != ':' || end[1] != ' ') continue;
        const char *found = file_named(name, place);
        if (!found && !bw_slice_is(name, "helpers")) return 0;
        *text = end + 2;
        if (!found || line > INT32_MAX) return 0;
        *file = found;
        return (int)line;
    }
    return 0;
}

/* Our own refusals carry their code in front. */
static const char *take_code(const char **text, const char *otherwise)
{
    static const char *const codes[] = {"lua.denied", "lua.timeout", "lua.memory", "expr.not_boolean", "expr.secret", "expr.memory", "json.too_deep"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        size_t len = strlen(codes[i]);
        if (strncmp(*text, codes[i], len) != 0 || (*text)[len] != ':' || (*text)[len + 1] != ' ') continue;
        *text += len + 2;
        return codes[i];
    }
    return otherwise;
}

struct description {
    const char *code;
    const struct bw_code_place *place;
    struct bw_error *err;
};

/* Tables as people raise them: error{code = …, message = …}. */
static void describe_table(lua_State *L, struct bw_error *err, const char *code)
{
    const char *parts[2];
    static const char *const names[] = {"code", "message"};
    for (int i = 0; i < 2; i++) {
        lua_pushstring(L, names[i]);
        parts[i] = lua_rawget(L, 1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    }
    if (!*parts[0] && !*parts[1])
        bw_error_set(err, code, "an error object without code and message was raised");
    else
        bw_error_set(err, code, "%.100s%s%s", parts[0], *parts[0] && *parts[1] ? ": " : "", parts[1]);
}

static int describe(lua_State *L)
{
    const struct description *description = lua_touserdata(L, 2);
    const struct bw_code_place *place = description->place;
    struct bw_error *err = description->err;
    const char *text, *code, *file = place->file;
    int line;
    switch (lua_type(L, 1)) {
    case LUA_TTABLE:
        describe_table(L, err, description->code);
        line = 0;
        break;
    case LUA_TSTRING:
        text = lua_tostring(L, 1);
        line = take_line(&text, place, &file);
        code = take_code(&text, description->code);
        bw_error_set(err, code, "%s", text);
        break;
    case LUA_TNUMBER:
        bw_error_set(err, description->code, "%.14g", (double)lua_tonumber(L, 1));
        line = 0;
        break;
    default: bw_error_set(err, description->code, "an error of type %s was raised", luaL_typename(L, 1)); line = 0;
    }
    if (file) bw_error_at(err, file, line ? line : place->line, !line || line == place->line ? place->column : 0);
    return 0;
}

static void set_memory(struct bw_script *script, struct bw_error *err)
{
    if (script->memory.expr_cap && script->memory.was_expr_hit && !script->memory.was_hit) {
        bw_error_set(err, "expr.memory", "the expression needs more than %zu KiB of memory", script->limits.expr_bytes >> 10);
        bw_error_hint(err, "move the work into a step with `lua`");
        return;
    }
    script->is_spent = true;
    bw_error_set(err, "lua.memory", "the code needs more than its %zu KiB of memory", script->limits.memory_bytes >> 10);
    bw_error_hint(err, "keep less at once");
}

static void set_expired(struct bw_script *script, struct bw_error *err)
{
    script->is_spent = true;
    if (script->mode == BW_MODE_TASK) {
        bw_error_set(err, "lua.timeout", "the code ran longer than its step may");
        bw_error_hint(err, "look for a loop that does not end, or give the step a longer `timeout`");
    } else {
        if (script->is_slow)
            bw_error_set(err, "expr.budget", "the expression needs more than 500 ms of the processor");
        else
            bw_error_set(err, "expr.budget", "the expression needs more than %u instructions", script->limits.expr_instructions);
        bw_error_hint(err, "move the work into a step with `lua`");
    }
}

void bw_lua_error(struct bw_script *script, lua_State *L, int status, const struct bw_code_place *place, const char *code, struct bw_error *err)
{
    struct bw_error ignored;
    struct description description = {code, place, err ? err : &ignored};
    if (status == LUA_ERRMEM || bw_budget_sentinel(L, -1) == BW_SENTINEL_MEMORY) {
        set_memory(script, description.err);
    } else if (bw_budget_sentinel(L, -1) == BW_SENTINEL_EXPIRED) {
        set_expired(script, description.err);
    } else if (lua_checkstack(script->L, 4)) { /* a thread that died of the error cannot run anything: the main one does */
        lua_State *main = script->L;
        lua_pushcfunction(main, describe);
        if (L == main)
            lua_pushvalue(L, -2);
        else
            lua_xmove(L, main, 1);
        lua_pushlightuserdata(main, &description);
        if (lua_pcall(main, 2, 0, 0) != LUA_OK) {
            set_memory(script, description.err);
            lua_pop(main, 1);
        }
        if (L != main) lua_pushnil(L);
    } else {
        set_memory(script, description.err);
    }
    if (place->file) bw_error_at(description.err, place->file, place->line, place->column);
    lua_pop(L, 1);
}
