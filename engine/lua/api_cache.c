/* ctx.cache: what is worth keeping between the attempts of one plugin's actions, such as a token: in the memory of this process and nowhere else. */
#include "lua/internal.h"
#include <string.h>

#define NAME_BYTES_MAX 200
#define LIFE_MAX_S 86400

static struct bw_task *current(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    if (!task) luaL_error(L, "ctx.cache can only be used while a step runs");
    if (!task->options.services.cache_find) luaL_error(L, "only the actions of a plugin have ctx.cache: nothing else has a place of its own");
    return task;
}

static struct bw_slice check_name(lua_State *L)
{
    struct bw_slice name;
    name.ptr = luaL_checklstring(L, 1, &name.len);
    if (!name.len || name.len > NAME_BYTES_MAX) luaL_error(L, "ctx.cache: a name has 1 to %d bytes", NAME_BYTES_MAX);
    return name;
}

static int give_back(lua_State *L, struct bw_task *task)
{
    task->options.services.cache_put(task->options.services.arg, check_name(L), (struct bw_slice){NULL, 0}, 0);
    return 0;
}

/* Behind what makes the value: its two results are on top, or what it has raised. */
static int made(lua_State *L, int status, lua_KContext extra)
{
    struct bw_task *task = current(L);
    struct bw_slice value;
    (void)extra;
    bw_budget_leave_pcall(L);
    if (status != LUA_OK && status != LUA_YIELD) {
        give_back(L, task);
        return lua_error(L);
    }
    double life_s = lua_tonumber(L, 4);
    bool is_good = lua_type(L, 3) == LUA_TSTRING && lua_type(L, 4) == LUA_TNUMBER && life_s >= 0;
    value.ptr = is_good ? lua_tolstring(L, 3, &value.len) : NULL;
    if (!is_good || value.len > BW_CACHE_VALUE_BYTES_MAX) {
        give_back(L, task);
        return luaL_error(L, "ctx.cache.fetch: the function returns a text of at most %d bytes, and for how many seconds it is good",
                          BW_CACHE_VALUE_BYTES_MAX);
    }
    task->options.services.cache_put(task->options.services.arg, check_name(L), value, (int64_t)((life_s < LIFE_MAX_S ? life_s : LIFE_MAX_S) * 1000));
    lua_settop(L, 3);
    return 1;
}

/* Again each time that whoever makes the value has come to an end. */
static int look(lua_State *L, int status, lua_KContext extra)
{
    struct bw_task *task = current(L);
    struct bw_slice name = check_name(L);
    struct bw_buf *value = bw_lua_push_buf(L);
    (void)status, (void)extra;
    bw_api_refuse_unwanted(L, task);
    bw_budget_enter_pcall(L);
    enum bw_cache_state state = task->options.services.cache_find(task->options.services.arg, name, value);
    if (state != BW_CACHE_MAKE) bw_budget_leave_pcall(L);
    if (value->failed) return luaL_error(L, "out of memory");
    if (state == BW_CACHE_HAS) {
        lua_pushlstring(L, value->data ? value->data : "", value->len);
        bw_buf_free(value);
        return 1;
    }
    lua_settop(L, 2);
    if (state == BW_CACHE_MAKE) {
        lua_pushvalue(L, 2);
        return made(L, lua_pcallk(L, 0, 2, 0, 0, made), 0);
    }
    bw_buf_clear(&task->request_bytes);
    bw_buf_append_slice(&task->request_bytes, name);
    if (task->request_bytes.failed) return luaL_error(L, "out of memory");
    task->request = (struct bw_task_request){.kind = BW_REQUEST_CACHE, .method = bw_buf_slice(&task->request_bytes)};
    task->is_waiting = true;
    return lua_yieldk(L, 0, 0, look);
}

/* fetch(name, make): the value, or what make() returns: it and its life in seconds. However many attempts of this process ask at the same time, one
 * makes it; the others wait. */
static int cache_fetch(lua_State *L)
{
    check_name(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (!lua_isyieldable(L)) return luaL_error(L, "ctx.cache.fetch cannot be used inside a callback of table.sort or string.gsub");
    return look(L, LUA_OK, 0);
}

/* drop(name, value): is not good any more. Another value that has come meanwhile stays. */
static int cache_drop(lua_State *L)
{
    const struct bw_task *task = current(L);
    struct bw_slice name = check_name(L), value;
    value.ptr = luaL_checklstring(L, 2, &value.len);
    task->options.services.cache_drop(task->options.services.arg, name, value);
    return 0;
}

const luaL_Reg bw_cache_functions[] = {{"fetch", cache_fetch}, {"drop", cache_drop}, {NULL, NULL}};
