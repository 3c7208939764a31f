/* ctx.part: what the code of a step does in several calls, each of them recorded. Names have an index or a name in brackets, so that no step is
 * called like a part: "turn[3]", "turn[3].tool[crm/find]". */
#include "base/json.h"
#include "lua/internal.h"
#include <string.h>

#define NAME_BYTES_MAX 120

static struct bw_task *current(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    if (!task) luaL_error(L, "ctx.part can only be used while a step runs");
    if (!task->options.services.part) luaL_error(L, "ctx.part cannot be used in an action that is itself a part of a step");
    return task;
}

static struct bw_slice check_name(lua_State *L, int index)
{
    struct bw_slice name;
    name.ptr = luaL_checklstring(L, index, &name.len);
    size_t good = strspn(name.ptr, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/@#[]");
    if (!name.len || name.len > NAME_BYTES_MAX || good != name.len || !memchr(name.ptr, '[', name.len))
        luaL_error(L, "ctx.part: '%s' is no name of a part: write it like turn[1], with at most %d bytes of a-z, 0-9, _ . - / @ # [ ]", name.ptr,
                   NAME_BYTES_MAX);
    return name;
}

/* Two results: the value, or nil and {code, message, class}. */
static int push_found(lua_State *L, bool has_failed, struct bw_slice text)
{
    if (has_failed) lua_pushnil(L);
    bw_value_push_json(L, bw_json_view_of(text));
    return has_failed ? 2 : 1;
}

/* What is recorded of it: `text` is its value or its error, in a buffer that is pushed. */
static enum bw_part_state find(lua_State *L, struct bw_task *task, struct bw_slice name, struct bw_slice *text)
{
    struct bw_buf *output = bw_lua_push_buf(L), *error = bw_lua_push_buf(L);
    enum bw_part_state state = task->options.services.part(task->options.services.arg, name, output, error);
    if (output->failed || error->failed) luaL_error(L, "out of memory");
    *text = bw_buf_slice(state == BW_PART_FAILED ? error : output);
    return state;
}

static int part_find(lua_State *L)
{
    struct bw_task *task = current(L);
    struct bw_slice text;
    enum bw_part_state state = find(L, task, check_name(L, 1), &text);
    return state == BW_PART_NONE ? 0 : push_found(L, state == BW_PART_FAILED, text);
}

static int answered(lua_State *L, int status, lua_KContext extra)
{
    struct bw_task *task = bw_lua_script(L)->task;
    const struct bw_http_answer *answer = &task->answer;
    (void)status, (void)extra;
    if (!answer->status) return bw_api_raise_transient(L, answer->error->code, answer->error->message, answer->transient);
    return push_found(L, answer->status != 200, answer->body);
}

/* The name, an action or nothing, and a value: kept for as long as the coroutine waits. */
static int ask(lua_State *L, struct bw_task *task, enum bw_request_kind kind, struct bw_slice name, struct bw_slice uses, int value)
{
    struct bw_buf *bytes = &task->request_bytes;
    if (!lua_isyieldable(L)) return luaL_error(L, "ctx.part cannot be used inside a callback of table.sort or string.gsub");
    bw_api_refuse_unwanted(L, task);
    bw_buf_clear(bytes);
    bw_buf_append_slice(bytes, name);
    bw_buf_append_slice(bytes, uses);
    bw_value_to_json(L, value, bytes);
    if (bytes->failed) return luaL_error(L, "out of memory");
    bw_stream_give_up(task); /* another code may begin one */
    task->request = (struct bw_task_request){.kind = kind,
                                             .method = {bytes->data, name.len},
                                             .url = {bytes->data + name.len, uses.len},
                                             .body = {bytes->data + name.len + uses.len, bytes->len - name.len - uses.len}};
    task->is_waiting = true;
    return lua_yieldk(L, 0, 0, answered);
}

static int part_keep(lua_State *L)
{
    struct bw_task *task = current(L);
    struct bw_slice name = check_name(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    return ask(L, task, BW_REQUEST_KEEP, name, (struct bw_slice){"", 0}, 2);
}

static int part_run(lua_State *L)
{
    struct bw_task *task = current(L);
    struct bw_slice name = check_name(L, 1), uses, text;
    uses.ptr = luaL_checklstring(L, 2, &uses.len);
    luaL_checktype(L, 3, LUA_TTABLE);
    enum bw_part_state state = find(L, task, name, &text);
    if (state != BW_PART_NONE) return push_found(L, state == BW_PART_FAILED, text);
    return ask(L, task, BW_REQUEST_ACT, name, uses, 3);
}

/* What is recorded of one: its value, or {output = value} with is_call, or {error = …}. False: nothing, and nothing is pushed. */
static bool push_end(lua_State *L, struct bw_task *task, struct bw_slice name, bool is_call)
{
    struct bw_slice text;
    enum bw_part_state state = find(L, task, name, &text);
    if (state == BW_PART_NONE) return false;
    bool has_failed = state == BW_PART_FAILED;
    if (has_failed || is_call) lua_newtable(L);
    bw_value_push_json(L, bw_json_view_of(text));
    if (has_failed || is_call) lua_setfield(L, -2, has_failed ? "error" : "output");
    return true;
}

/* Of the list at 1: what has come of each goes into the list at 2, those of which nothing is recorded into the one at 3. Their number. */
static lua_Integer sort_out(lua_State *L, struct bw_task *task, bool is_call)
{
    lua_Integer left = 0, count = (lua_Integer)lua_rawlen(L, 1); /* a __len could say 2^62 */
    for (lua_Integer i = 1; i <= count; i++) {
        bw_budget_look(L);
        bool is_good = lua_geti(L, 1, i) == LUA_TTABLE && lua_getfield(L, 4, "name") == LUA_TSTRING;
        if (!is_good)
            luaL_error(L, is_call ? "ctx.part.call wants a list of calls: {{name = \"call[1]\", uses = \"workflow/NAME\", input = {}}}"
                                  : "ctx.part.ask wants a list of questions: {{name = \"ask[1]\", message = \"Go on?\"}}");
        if (push_end(L, task, check_name(L, 5), is_call)) {
            lua_seti(L, 2, i);
        } else {
            lua_pushvalue(L, 4);
            lua_seti(L, 3, ++left);
        }
        lua_settop(L, 3);
    }
    return left;
}

static int wait_for_all(lua_State *L, bool is_call)
{
    struct bw_task *task = current(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    if (sort_out(L, task, is_call))
        return ask(L, task, is_call ? BW_REQUEST_CALL : BW_REQUEST_ASK, (struct bw_slice){"", 0}, (struct bw_slice){"", 0}, 3);
    lua_settop(L, 2);
    return 1;
}

static int part_ask(lua_State *L)
{
    return wait_for_all(L, false);
}

static int part_call(lua_State *L)
{
    return wait_for_all(L, true);
}

static int part_link(lua_State *L)
{
    struct bw_task *task = current(L);
    struct bw_slice name = check_name(L, 1), actor;
    actor.ptr = luaL_optlstring(L, 2, "", &actor.len);
    struct bw_buf *url = bw_lua_push_buf(L);
    if (!task->options.services.link(task->options.services.arg, name, actor, url))
        return luaL_error(L, "ctx.part.link: nothing listens, or the name is too long for a link");
    lua_pushlstring(L, url->data, url->len);
    return 1;
}

static int part_offer(lua_State *L)
{
    struct bw_task *task = current(L);
    struct bw_slice uses;
    struct bw_error err;
    uses.ptr = luaL_checklstring(L, 1, &uses.len);
    struct bw_buf *manifest = bw_lua_push_buf(L), *input = bw_lua_push_buf(L);
    if (!lua_isnoneornil(L, 2) && lua_istable(L, 2)) bw_value_to_json(L, 2, input);
    if (input->failed) return luaL_error(L, "out of memory");
    if (task->options.services.offer(task->options.services.arg, uses, bw_buf_slice(input), manifest, &err)) {
        bw_value_push_json(L, bw_json_view_of(bw_buf_slice(manifest)));
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, *err.hint ? "%s: %s" : "%s", err.message, err.hint);
    lua_pushstring(L, err.code);
    return 3;
}

const luaL_Reg bw_part_functions[] = {{"find", part_find}, {"keep", part_keep}, {"run", part_run},   {"offer", part_offer},
                                      {"ask", part_ask},   {"call", part_call}, {"link", part_link}, {NULL, NULL}};
