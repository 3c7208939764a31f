/* ctx.usage: calls that are paid by use. begin{} asks whether one may be made, and waits for the answer; what it returns is told what the call took.
 */
#include "lua/internal.h"
#include <math.h>
#include <string.h>

#define NAME_BYTES_MAX 128
#define NUMBER_MAX 1e12

static const char *const begin_fields[] = {"provider", "model", "input_tokens", "output_tokens", "cost", "budget"};
static const char *const end_fields[] = {"input_tokens", "output_tokens", "cached_tokens", "cost", "first_ms", "took_ms"};
static const char *const budget_fields[] = {"calls", "tokens", "money", "seconds"};

/* A number of at least 0 of the table at `index`, times `scale`, as a member; nothing when it is absent. */
static void append_number(lua_State *L, int index, struct bw_buf *out, const char *function, const char *field, const char *as, double scale)
{
    index = lua_absindex(L, index);
    lua_getfield(L, index, field);
    if (!lua_isnil(L, -1)) {
        double number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
        if (!(number >= 0) || number > NUMBER_MAX) luaL_error(L, "ctx.usage.%s: %s must be a number of at least 0", function, field);
        bw_buf_printf(out, "%s\"%s\":%lld", out->len > 1 ? "," : "", as, (long long)ceil(number * scale));
    }
    lua_pop(L, 1);
}

static void append_name(lua_State *L, struct bw_buf *out, const char *field)
{
    struct bw_slice name;
    lua_getfield(L, 1, field);
    name.ptr = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &name.len) : NULL;
    if (!name.ptr || !name.len || name.len > NAME_BYTES_MAX)
        luaL_error(L, "ctx.usage.begin: %s must be a text of 1 to %d bytes", field, NAME_BYTES_MAX);
    bw_buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", field);
    bw_buf_append_json_string(out, name);
    lua_pop(L, 1);
}

static void append_budget(lua_State *L, struct bw_buf *out)
{
    lua_getfield(L, 1, "budget");
    if (!lua_isnil(L, -1)) {
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_insert(L, 1); /* where the keys are checked */
        bw_api_check_keys(L, "usage.begin", budget_fields, 4);
        struct bw_buf *inner = bw_lua_push_buf(L);
        bw_buf_append_char(inner, '{');
        append_number(L, 1, inner, "begin", "calls", "calls", 1);
        append_number(L, 1, inner, "begin", "tokens", "tokens", 1);
        append_number(L, 1, inner, "begin", "money", "cost", 1e6);
        append_number(L, 1, inner, "begin", "seconds", "ms", 1e3);
        bw_buf_append_text(out, ",\"budget\":");
        bw_buf_append_slice(out, bw_buf_slice(inner));
        bw_buf_append_char(out, '}');
        bw_buf_free(inner);
        lua_pop(L, 1);
        lua_remove(L, 1);
        return;
    }
    lua_pop(L, 1);
}

static int granted(lua_State *L, int status, lua_KContext extra)
{
    struct bw_task *task = bw_lua_script(L)->task;
    const struct bw_http_answer *answer = &task->answer;
    lua_Integer id = 0;
    (void)status, (void)extra;
    if (!answer->status) return bw_api_raise_transient(L, answer->error->code, answer->error->message, answer->transient);
    for (size_t i = 0; i < answer->body.len; i++) id = id * 10 + (answer->body.ptr[i] - '0');
    lua_pushinteger(L, id);
    return 1;
}

static int usage_begin(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    if (!task) return luaL_error(L, "ctx.usage can only be used while a step runs");
    if (!lua_isyieldable(L)) return luaL_error(L, "ctx.usage.begin cannot be used inside a callback of table.sort or string.gsub");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bw_api_refuse_unwanted(L, task);
    bw_api_check_keys(L, "usage.begin", begin_fields, sizeof begin_fields / sizeof *begin_fields);
    bw_buf_clear(&task->request_bytes);
    struct bw_buf *said = &task->request_bytes;
    bw_buf_append_char(said, '{');
    append_name(L, said, "provider");
    append_name(L, said, "model");
    append_number(L, 1, said, "begin", "input_tokens", "input_tokens", 1);
    append_number(L, 1, said, "begin", "output_tokens", "output_tokens", 1);
    append_number(L, 1, said, "begin", "cost", "cost", 1);
    append_budget(L, said);
    bw_buf_append_char(said, '}');
    if (said->failed) return luaL_error(L, "out of memory");
    task->request = (struct bw_task_request){.kind = BW_REQUEST_USAGE, .body = bw_buf_slice(said)};
    task->is_waiting = true;
    return lua_yieldk(L, 0, 0, granted);
}

/* finish(id, {…}): never waits, also when the step is not wanted any more: what was paid is paid. */
static int usage_finish(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    lua_Integer id = luaL_checkinteger(L, 1);
    if (!task) return luaL_error(L, "ctx.usage can only be used while a step runs");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_remove(L, 1);
    lua_settop(L, 1);
    bw_api_check_keys(L, "usage.finish", end_fields, sizeof end_fields / sizeof *end_fields);
    struct bw_buf *said = bw_lua_push_buf(L);
    bw_buf_append_char(said, '{');
    for (size_t i = 0; i < sizeof end_fields / sizeof *end_fields; i++) append_number(L, 1, said, "finish", end_fields[i], end_fields[i], 1);
    bw_buf_append_char(said, '}');
    if (said->failed) return luaL_error(L, "out of memory");
    if (task->options.services.usage) task->options.services.usage(task->options.services.arg, id, bw_buf_slice(said));
    bw_buf_free(said);
    return 0;
}

const luaL_Reg bw_usage_functions[] = {{"begin", usage_begin}, {"finish", usage_finish}, {NULL, NULL}};
