/* Action files: what they offer, as data. */
#include "base/suggest.h"
#include "base/units.h"
#include "lua/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const action_keys[] = {"name",   "version", "doc",       "inputs", "outputs", "secrets",
                                          "effect", "timeout", "heartbeat", "limit",  "retry",   "run"};
#define KEY_COUNT (sizeof action_keys / sizeof *action_keys)

struct loading {
    const struct bw_action *action;
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
    if (bw_script_compile(L, loading->action->file, 1, BW_CHUNK_HEAD, loading->action->source, "") != LUA_OK) return lua_error(L);
    bw_env_push_fresh(L);
    lua_pushcfunction(L, bw_action_mark);
    lua_setfield(L, -2, "action");
    bw_module_add_require(L, loading->action);
    lua_call(L, 1, 1);
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

/* A field of another type would count as left out. */
static bool are_texts(const json_t *manifest, const char *file, struct bw_error *err)
{
    static const struct {
        const char *key, *wanted;
    } texts[] = {{"name", "name must be a text such as \"crm/upsert\" in"},
                 {"version", "version must be a text such as \"1.0.0\" in"},
                 {"doc", "doc must be a text in"},
                 {"effect", "effect must be none, read or write in"},
                 {"timeout", "timeout must be a duration such as \"30s\" in"},
                 {"heartbeat", "heartbeat must be a duration such as \"30s\" in"},
                 {"limit", "limit must be the name of a limit in bellwire.yaml in"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *value = json_object_get(manifest, texts[i].key);
        if (value && !json_is_string(value)) return fail(err, file, texts[i].wanted, bw_json_str(manifest, "name", file));
    }
    return true;
}

static bool read_manifest(struct bw_action *action, struct bw_error *err)
{
    const json_t *manifest = action->manifest;
    const char *name = bw_json_str(manifest, "name", ""), *version = bw_json_str(manifest, "version", ""),
               *effect = bw_json_str(manifest, "effect", "write");
    const char *timeout = bw_json_str(manifest, "timeout", NULL), *heartbeat = bw_json_str(manifest, "heartbeat", NULL);
    if (!are_texts(manifest, action->file, err)) return false;
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
    if (heartbeat && (!bw_duration_parse(bw_slice_of(heartbeat), &action->heartbeat_ms, err) || action->heartbeat_ms < 1))
        return fail(err, action->file, "heartbeat must be a duration such as 30s, found", heartbeat);
    return read_retry(action, err) && action->name && action->version && action->doc && read_schema(action, "inputs", &action->inputs, err) &&
           read_schema(action, "outputs", &action->outputs, err) && read_secrets(action, err);
}

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The word; `required` is another one. What a comment says counts as well, which costs nothing but a version of its own. */
static bool uses_require(struct bw_slice source)
{
    static const char word[] = "require";
    const size_t len = sizeof word - 1;
    const char *end = source.ptr + source.len;
    for (const char *at = source.ptr; (at = memmem(at, (size_t)(end - at), word, len)); at += len)
        if ((at == source.ptr || !is_letter(at[-1])) && (at + len == end || !is_letter(at[len]))) return true;
    return false;
}

static bool keep_modules(struct bw_action *action, struct bw_module *const *modules, size_t count)
{
    if (!(action->requires = uses_require(action->source))) return true;
    if (!(action->modules = calloc(count + 1, sizeof *action->modules))) return false;
    for (size_t i = 0; i < count; i++)
        if (bw_module_is_seen_by(modules[i], action->file)) action->modules[action->module_count++] = modules[i];
    return true;
}

/* Runs the file for what it returns; NULL: err says why not. */
static json_t *read_file(struct bw_loader *loader, const struct bw_action *action, struct bw_error *err)
{
    const struct bw_code_place place = {.file = action->file, .line = 1, .action = action};
    struct loading loading = {.action = action};
    json_t *manifest = NULL;
    if (bw_loader_call(loader, load_entry, &loading, &place, "action.invalid", err)) manifest = bw_json_load(bw_buf_slice(&loading.manifest), err);
    bw_buf_free(&loading.manifest);
    return manifest;
}

static struct bw_action *new_action(const char *file, struct bw_slice source)
{
    struct bw_action *action = calloc(1, sizeof *action);
    if (!action) return NULL;
    action->file = bw_slice_dup(bw_slice_of(file));
    if (source.len) action->source = (struct bw_slice){bw_slice_dup(source), source.len};
    if (action->file && (!source.len || action->source.ptr)) return action;
    bw_action_free(action);
    return NULL;
}

struct bw_action *bw_action_load(struct bw_loader *loader, struct bw_slice source, const char *file, struct bw_module *const *modules,
                                 size_t module_count, struct bw_error *err)
{
    struct bw_action *action = new_action(file, source);
    bw_error_set(err, "memory", "out of memory");
    if (action && keep_modules(action, modules, module_count) && (action->manifest = read_file(loader, action, err))) {
        bw_error_set(err, "memory", "out of memory");
        if (read_manifest(action, err)) return action;
    }
    bw_action_free(action);
    return NULL;
}

struct bw_action *bw_action_from_manifest(const json_t *entry, const char *file, struct bw_error *err)
{
    struct bw_action *action = new_action(file, (struct bw_slice){0});
    bw_error_set(err, "memory", "out of memory");
    if (action) {
        action->manifest = json_incref((json_t *)entry);
        if (read_manifest(action, err)) return action;
    }
    bw_action_free(action);
    return NULL;
}

void bw_action_free(struct bw_action *action)
{
    if (!action) return;
    for (size_t i = 0; i < action->secret_count; i++) free(action->secrets[i]);
    free(action->secrets);
    bw_schema_free(action->inputs);
    bw_schema_free(action->outputs);
    json_decref(action->manifest);
    free(action->modules);
    free((char *)action->source.ptr);
    free(action->name);
    free(action->version);
    free(action->doc);
    free(action->file);
    free(action);
}
