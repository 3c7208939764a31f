/* Modules: what the files of actions share. `require` finds them by their place and runs them anew for each attempt; nothing is searched for on disk:
 * the catalogue has them. */
#include "base/suggest.h"
#include "lua/internal.h"
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 256
#define DEPTH_MAX 40            /* modules that require each other */
#define CHARGED_PER_BYTE 4      /* compiling a byte costs about as much as so many instructions */
static const char compiled_key; /* registry: a module's number → its function */
static const char loaded_key;   /* registry of a shared state: LOADED, the same for all that it executes */

/* ---- the file ---- */

static bool refuse(struct bw_error *err, const char *file, const char *code, const char *message, const char *hint)
{
    bw_error_set(err, code, "%s", message);
    bw_error_hint(err, "%s", hint);
    bw_error_at(err, file, 0, 0);
    return false;
}

/* ".../FOLDER/lib/NAME.lua" */
static bool read_place(struct bw_module *module, struct bw_error *err)
{
    const char *file = module->file, *slash = strrchr(file, '/');
    size_t folder = slash ? (size_t)(slash - file) : 0; /* up to ".../lib" */
    struct bw_slice name = bw_slice_of(slash ? slash + 1 : file);
    name.len -= name.len > 4 ? 4 : 0;
    bool is_in_lib = folder >= 3 && !memcmp(file + folder - 3, "lib", 3) && (folder == 3 || file[folder - 4] == '/');
    bool is_in_two = is_in_lib && folder >= 7 && !memcmp(file + folder - 7, "lib/", 4) && (folder == 7 || file[folder - 8] == '/');
    if (!is_in_lib || is_in_two)
        return refuse(err, file, "module.nested", "a module lies in lib/ itself, not in a folder below it", "move it up: lib/NAME.lua");
    if (!name.len || strspn(name.ptr, "abcdefghijklmnopqrstuvwxyz0123456789_") < name.len)
        return refuse(err, file, "module.name", "the file of a module has small letters, digits and _ in its name, and ends in .lua",
                      "require \"NAME\" finds lib/NAME.lua");
    module->name = bw_slice_dup(name);
    module->folder = bw_slice_dup((struct bw_slice){file, folder - 3});
    return module->name && module->folder;
}

static void push_compiled(lua_State *L, const struct bw_module *module);

static int compile_entry(lua_State *L)
{
    push_compiled(L, lua_touserdata(L, 1));
    return 0;
}

struct bw_module *bw_module_load(struct bw_loader *loader, struct bw_slice source, const char *file, struct bw_error *err)
{
    static uint64_t made;
    struct bw_module *module = calloc(1, sizeof *module);
    const struct bw_code_place place = {.file = file, .line = 1};
    bw_error_set(err, "memory", "out of memory");
    if (module && (module->file = bw_slice_dup(bw_slice_of(file))) && (module->source.ptr = bw_slice_dup(source))) {
        module->source.len = source.len;
        module->number = ++made;
        if (read_place(module, err) && bw_loader_call(loader, compile_entry, module, &place, "lua.syntax", err)) return module;
    }
    bw_module_free(module);
    return NULL;
}

void bw_module_free(struct bw_module *module)
{
    if (!module) return;
    free((char *)module->source.ptr);
    free(module->name);
    free(module->file);
    free(module->folder);
    free(module);
}

bool bw_module_is_seen_by(const struct bw_module *module, const char *file)
{
    return !strncmp(file, module->folder, strlen(module->folder));
}

/* ---- require ---- */

/* Upvalues of require(). LOADED: name → what the module has returned; 1…n: the names of those that are being loaded, the outermost first. */
enum { LOADED = 1, ACTION, ENVIRONMENT };

static const struct bw_action *action_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(ACTION));
}

static const struct bw_module *find(const struct bw_action *action, const char *name)
{
    for (size_t i = 0; i < action->module_count; i++)
        if (!strcmp(action->modules[i]->name, name)) return action->modules[i];
    return NULL;
}

/* Where it was looked: beside the action, and in the folders that hold what it sees. */
static void append_places(const struct bw_action *action, struct bw_buf *out)
{
    const char *slash = strrchr(action->file, '/');
    struct bw_slice own = {action->file, slash ? (size_t)(slash + 1 - action->file) : 0};
    bw_buf_printf(out, "%.*slib/", (int)own.len, own.ptr);
    for (size_t i = 0; i < action->module_count; i++) {
        const char *folder = action->modules[i]->folder;
        bool is_told = bw_slice_is(own, folder);
        for (size_t k = 0; k < i; k++) is_told = is_told || !strcmp(action->modules[k]->folder, folder);
        if (!is_told) bw_buf_printf(out, " and %slib/", folder);
    }
}

static int refuse_name(lua_State *L, struct bw_slice name)
{
    const struct bw_action *action = action_of(L);
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (; count < action->module_count && count < NAMES_MAX; count++) names[count] = action->modules[count]->name;
    const char *near = bw_suggest(name, names, count);
    struct bw_buf *places = bw_lua_push_buf(L);
    append_places(action, places);
    if (places->failed) return luaL_error(L, "lua.memory: out of memory");
    lua_pushlstring(L, places->data, places->len);
    bw_buf_free(places);
    return luaL_error(L, near ? "there is no module '%s' in %s (did you mean '%s'?)" : "there is no module '%s' in %s", name.ptr, lua_tostring(L, -1),
                      near);
}

static int refuse_circle(lua_State *L, const char *name, lua_Integer from, lua_Integer depth)
{
    luaL_Buffer chain;
    luaL_buffinit(L, &chain);
    for (lua_Integer i = from; i <= depth; i++) {
        lua_rawgeti(L, lua_upvalueindex(LOADED), i);
        luaL_addvalue(&chain);
        luaL_addstring(&chain, " → ");
    }
    luaL_addstring(&chain, name);
    luaL_pushresult(&chain);
    return luaL_error(L, "modules require each other in a circle: %s", lua_tostring(L, -1));
}

/* Compiled once for the state: most runs use the same ones. */
static void push_compiled(lua_State *L, const struct bw_module *module)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &compiled_key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 2);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &compiled_key);
    }
    if (lua_rawgeti(L, -1, (lua_Integer)module->number) == LUA_TNIL) {
        lua_pop(L, 1);
        bw_budget_charge(L, module->source.len * CHARGED_PER_BYTE);
        if (bw_script_compile(L, module->file, 1, BW_CHUNK_HEAD, module->source, "") != LUA_OK) lua_error(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, (lua_Integer)module->number);
    }
    lua_remove(L, -2);
}

/* name, value or error. depth: how many were being loaded when this one began. One that has failed may be required again. */
static int finish(lua_State *L, int status, lua_KContext depth)
{
    bool has_failed = status != LUA_OK && status != LUA_YIELD;
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, lua_upvalueindex(LOADED)); i > (lua_Integer)depth; i--) {
        lua_pushnil(L);
        lua_rawseti(L, lua_upvalueindex(LOADED), i);
    }
    if (has_failed) return bw_budget_raise_again(L, status);
    if (lua_isnil(L, 2)) return luaL_error(L, "the module '%s' returns nothing; it has to end with: return M", lua_tostring(L, 1));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_rawset(L, lua_upvalueindex(LOADED));
    return 1;
}

static int require(lua_State *L)
{
    struct bw_slice name;
    if (lua_type(L, 1) != LUA_TSTRING) return luaL_argerror(L, 1, "a module's name is wanted, a text");
    name.ptr = lua_tolstring(L, 1, &name.len);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, lua_upvalueindex(LOADED)) != LUA_TNIL) return 1;
    lua_settop(L, 1);
    const struct bw_module *module = find(action_of(L), name.ptr);
    if (!module) return refuse_name(L, name);
    lua_Integer depth = (lua_Integer)lua_rawlen(L, lua_upvalueindex(LOADED));
    for (lua_Integer i = 1; i <= depth; i++) {
        bool is_same = lua_rawgeti(L, lua_upvalueindex(LOADED), i) == LUA_TSTRING && lua_rawequal(L, 1, -1);
        lua_pop(L, 1);
        if (is_same) return refuse_circle(L, name.ptr, i, depth);
    }
    if (depth == DEPTH_MAX) return luaL_error(L, "modules require each other more than %d deep", DEPTH_MAX);
    lua_pushvalue(L, 1);
    lua_rawseti(L, lua_upvalueindex(LOADED), depth + 1);
    push_compiled(L, module);
    lua_pushvalue(L, lua_upvalueindex(ENVIRONMENT));
    /* In a shared state no other attempt may come in between: it would find the module half loaded. */
    lua_KFunction go_on = bw_lua_script(L)->is_shared ? NULL : finish;
    return finish(L, lua_pcallk(L, 1, 1, 0, (lua_KContext)depth, go_on), (lua_KContext)depth);
}

static void push_loaded(lua_State *L)
{
    if (!bw_lua_script(L)->is_shared) {
        lua_createtable(L, 0, 2);
        return;
    }
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key) != LUA_TNIL) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 8);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
}

void bw_module_add_require(lua_State *L, const struct bw_action *action)
{
    if (!action->requires) return;
    push_loaded(L);
    lua_pushlightuserdata(L, (void *)action);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, require, 3);
    lua_setfield(L, -2, "require");
}
