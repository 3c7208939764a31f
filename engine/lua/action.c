/* Action files: what they offer, as data. */
#include "base/suggest.h"
#include "base/units.h"
#include "lua/internal.h"
#include <stdlib.h>
#include <string.h>

#define LOAD_INSTRUCTIONS 10000000

static const char *const action_keys[] = {"name",   "version", "doc",       "inputs", "outputs", "secrets",
                                          "effect", "timeout", "heartbeat", "limit",  "retry",   "run"};
#define KEY_COUNT (sizeof action_keys / sizeof *action_keys)

struct loading {
    struct bw_slice source;
    const char *file;
    struct bw_buf manifest;
};

int bw_action_mark(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    return 1;
}

static int load_entry(lua_State *L)
{
    struct loading *loading = lua_touserdata(L, 1);
    if (bw_script_compile(L, loading->file, 1, "", loading->source, "") != LUA_OK) return lua_error(L);
    bw_env_push_fresh(L);
    lua_pushcfunction(L, bw_action_mark);
    lua_setfield(L, -2, "action");
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1)) return luaL_error(L, "the file must end with: return action{…}");
    lua_getfield(L, -1, "run");
    if (!lua_isfunction(L, -1)) return luaL_error(L, "the action has no function `run`");
    lua_pop(L, 1);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        struct bw_slice key = {0};
        if (lua_type(L, -2) != LUA_TSTRING) return luaL_error(L, "an action has only named fields");
        key.ptr = lua_tolstring(L, -2, &key.len);
        size_t i = 0;
        while (i < KEY_COUNT && !bw_slice_is(key, action_keys[i])) i++;
        const char *near = i < KEY_COUNT ? NULL : bw_suggest(key, action_keys, KEY_COUNT);
        if (i == KEY_COUNT)
            return luaL_error(L, near ? "unknown key '%s' in action (did you mean '%s'?)" : "unknown key '%s' in action", key.ptr, near);
    }
    lua_pushnil(L);
    lua_setfield(L, -2, "run");
    bw_value_to_json(L, -1, &loading->manifest);
    return 0;
}

static bool fail(struct bw_error *err, const char *file, const char *format, const char *word)
{
    bw_error_set(err, "action.invalid", "%s '%s'", format, word);
    bw_error_at(err, file, 0, 0);
    return false;
}

static bool is_name(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash && slash > name && slash[1] && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-/") == strlen(name) && !strchr(slash + 1, '/') &&
           strlen(name) <= 128;
}

static bool read_secrets(struct bw_action *action, struct bw_error *err)
{
    const json_t *list = json_object_get(action->manifest, "secrets");
    size_t index;
    json_t *name;
    if (!list || (json_is_object(list) && !json_object_size(list))) return true; /* an empty Lua table is an empty object */
    if (!json_is_array(list)) return fail(err, action->file, "secrets must be a list of names in", action->name);
    if (!(action->secrets = calloc(json_array_size(list) + 1, sizeof *action->secrets))) return bw_error_set(err, "memory", "out of memory");
    json_array_foreach(list, index, name)
    {
        if (!json_is_string(name)) return fail(err, action->file, "secrets must be a list of names in", action->name);
        action->secrets[action->secret_count++] = bw_slice_dup(bw_json_slice(name));
    }
    return true;
}

static bool read_schema(struct bw_action *action, const char *key, struct bw_schema **out, struct bw_error *err)
{
    const json_t *fields = json_object_get(action->manifest, key);
    struct bw_error inner;
    if (!fields || (json_is_array(fields) && !json_array_size(fields))) return true;
    if ((*out = bw_schema_load(fields, &inner))) return true;
    bw_error_set(err, "action.invalid", "%s: %s", key, inner.message);
    bw_error_hint(err, "%s", inner.hint);
    bw_error_at(err, action->file, 0, 0);
    return false;
}

static bool read_retry(struct bw_action *action, struct bw_error *err)
{
    const json_t *retry = json_object_get(action->manifest, "retry");
    const char *key;
    json_t *value;
    struct bw_error inner;
    action->retry = bw_retry_unset;
    if (!retry || (json_is_array(retry) && !json_array_size(retry))) return true;
    if (!json_is_object(retry))
        return fail(err, action->file, "retry must be a table such as {attempts = 3} in", bw_json_str(action->manifest, "name", ""));
    json_object_foreach((json_t *)retry, key, value)
    {
        if (bw_retry_set(&action->retry, key, value, &inner)) continue;
        bw_error_set(err, "action.invalid", "retry: %s", inner.message);
        bw_error_hint(err, "%s", inner.hint);
        bw_error_at(err, action->file, 0, 0);
        return false;
    }
    return true;
}

static bool read_manifest(struct bw_action *action, struct bw_error *err)
{
    const json_t *manifest = action->manifest;
    const char *name = bw_json_str(manifest, "name", ""), *version = bw_json_str(manifest, "version", ""),
               *effect = bw_json_str(manifest, "effect", "write");
    const char *timeout = bw_json_str(manifest, "timeout", NULL);
    const json_t *heartbeat = json_object_get(manifest, "heartbeat");
    if (!is_name(name)) return fail(err, action->file, "an action needs a name such as crm/upsert, found", name);
    if (*version < '0' || *version > '9') return fail(err, action->file, "an action needs a version such as \"1.0.0\", found", version);
    if (strcmp(effect, "none") && strcmp(effect, "read") && strcmp(effect, "write"))
        return fail(err, action->file, "effect must be none, read or write, found", effect);
    action->name = bw_slice_dup(bw_slice_of(name));
    action->version = bw_slice_dup(bw_slice_of(version));
    action->doc = bw_slice_dup(bw_slice_of(bw_json_str(manifest, "doc", "")));
    action->major = (uint32_t)strtoul(version, NULL, 10);
    action->has_effect = !strcmp(effect, "write");
    if (timeout && (!bw_duration_parse(bw_slice_of(timeout), &action->timeout_ms, err) || action->timeout_ms < 1))
        return fail(err, action->file, "timeout must be a duration such as 30s, found", timeout);
    if (heartbeat &&
        (!json_is_string(heartbeat) || !bw_duration_parse(bw_json_slice(heartbeat), &action->heartbeat_ms, err) || action->heartbeat_ms < 1))
        return fail(err, action->file, "heartbeat must be a duration such as 30s in", name);
    const json_t *limit = json_object_get(manifest, "limit");
    if (limit && !json_is_string(limit)) return fail(err, action->file, "limit must be the name of a limit in bellwire.yaml in", name);
    return read_retry(action, err) && action->name && action->version && action->doc && read_schema(action, "inputs", &action->inputs, err) &&
           read_schema(action, "outputs", &action->outputs, err) && read_secrets(action, err);
}

static struct bw_action *make(json_t *manifest, const char *file, struct bw_slice source, struct bw_error *err)
{
    struct bw_action *action = calloc(1, sizeof *action);
    bw_error_set(err, "memory", "out of memory");
    if (action) {
        action->manifest = json_incref(manifest);
        action->file = bw_slice_dup(bw_slice_of(file));
        if (source.len) action->source = (struct bw_slice){bw_slice_dup(source), source.len};
        if (action->file && read_manifest(action, err)) return action;
    }
    bw_action_free(action);
    return NULL;
}

struct bw_action *bw_action_load(struct bw_slice source, const char *file, const struct bw_script_limits *limits, struct bw_error *err)
{
    struct bw_script script = {0};
    struct bw_script_limits load_limits = *limits;
    struct loading loading = {.source = source, .file = file};
    struct bw_action *action = NULL;
    load_limits.expr_instructions = LOAD_INSTRUCTIONS;
    if (!bw_lua_open(&script, &load_limits, err)) {
        bw_lua_close(&script);
        return NULL;
    }
    bw_budget_install(script.L);
    script.mode = BW_MODE_EXPR; /* an instruction budget; nil stays an error to index */
    script.instructions_left = LOAD_INSTRUCTIONS;
    lua_State *L = script.L;
    lua_pushcfunction(L, load_entry);
    lua_pushlightuserdata(L, &loading);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) {
        const struct bw_code_place place = {file, 1, 0};
        bool is_syntax = lua_type(L, -1) == LUA_TSTRING && strstr(lua_tostring(L, -1), " near ");
        bw_lua_error(&script, L, status, &place, is_syntax ? "lua.syntax" : "action.invalid", err);
        if (!strcmp(err->code, "expr.budget")) {
            bw_error_set(err, "lua.timeout", "loading this file does not end");
            bw_error_at(err, file, 0, 0);
        }
    } else {
        struct bw_error inner;
        json_t *manifest = bw_json_load(bw_buf_slice(&loading.manifest), &inner);
        if (manifest)
            action = make(manifest, file, source, err);
        else
            *err = inner;
        json_decref(manifest);
    }
    bw_buf_free(&loading.manifest);
    bw_lua_close(&script);
    return action;
}

struct bw_action *bw_action_from_manifest(const json_t *entry, const char *file, struct bw_error *err)
{
    return make((json_t *)entry, file, (struct bw_slice){0}, err);
}

void bw_action_free(struct bw_action *action)
{
    if (!action) return;
    for (size_t i = 0; i < action->secret_count; i++) free(action->secrets[i]);
    free(action->secrets);
    bw_schema_free(action->inputs);
    bw_schema_free(action->outputs);
    json_decref(action->manifest);
    free((char *)action->source.ptr);
    free(action->name);
    free(action->version);
    free(action->doc);
    free(action->file);
    free(action);
}
