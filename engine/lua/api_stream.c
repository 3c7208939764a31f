/* The answer to ctx.http{…, stream = true}: read() and events() give what has come, and wait when that is nothing. Its buffers live in a userdata
 * behind the functions; the bytes that nobody has asked for are with the worker, which lets the server wait. */
#include "base/event_stream.h"
#include "lua/internal.h"
#include <string.h>

#define EVENT_BYTES_MAX (1u << 20)

struct stream {
    uint64_t number;             /* the task's as long as it can be read */
    struct bw_event_stream form; /* what events() has begun to read */
    struct bw_buf bytes;         /* come, and not read from `taken` on */
    size_t taken;
    int64_t idle_ms;
    bool is_over; /* the whole answer was read */
};
static const char stream_key, answer_key; /* registry: metatables of the userdata, of the answer's table */

void bw_stream_give_up(struct bw_task *task)
{
    if (task->stream && task->options.services.close) task->options.services.close(task->options.services.arg);
    task->stream = 0;
}

static void release(struct stream *stream)
{
    bw_event_stream_free(&stream->form);
    bw_buf_free(&stream->bytes);
    stream->taken = 0;
}

static int stream_gc(lua_State *L)
{
    release(lua_touserdata(L, 1));
    return 0;
}

/* close(), and what ends a `for` over events() that is left early. */
static void close_stream(lua_State *L, struct stream *stream)
{
    struct bw_task *task = bw_lua_script(L)->task;
    if (task && task->stream == stream->number) bw_stream_give_up(task);
    stream->number = 0;
    release(stream);
}

static int stream_leave(lua_State *L)
{
    close_stream(L, lua_touserdata(L, 1));
    return 0;
}

static int answer_close(lua_State *L)
{
    close_stream(L, lua_touserdata(L, lua_upvalueindex(1)));
    return 0;
}

/* More bytes into an empty stream->bytes. WAITS: the caller has to yield. [raises] */
static enum bw_stream_state fill(lua_State *L, struct stream *stream, const char *function)
{
    struct bw_task *task = bw_lua_script(L)->task;
    struct bw_error err;
    bool is_transient = false;
    if (stream->is_over) return BW_STREAM_END;
    if (!stream->number || !task || task->stream != stream->number)
        luaL_error(L, "%s: this answer was given up: by close(), by leaving a loop over its events, or because another stream was begun", function);
    bw_api_refuse_unwanted(L, task);
    bw_buf_clear(&stream->bytes);
    stream->taken = 0;
    enum bw_stream_state state = task->options.services.read(task->options.services.arg, &stream->bytes, &err, &is_transient);
    if (state == BW_STREAM_FAILED) bw_api_raise_transient(L, err.code, err.message, is_transient);
    if (stream->bytes.failed) bw_api_raise_transient(L, "http.memory", "out of memory for the answer", true);
    stream->is_over = state == BW_STREAM_END;
    if (state != BW_STREAM_WAITS) return state;
    bw_buf_free(&stream->bytes); /* it may take long, and thousands wait at once */
    if (!lua_isyieldable(L)) luaL_error(L, "%s cannot be used inside a callback of table.sort or string.gsub", function);
    task->request = (struct bw_task_request){.kind = BW_REQUEST_READ, .timeout_ms = stream->idle_ms};
    task->is_waiting = true;
    return state;
}

static int read_on(lua_State *L, int status, lua_KContext extra)
{
    struct stream *stream = lua_touserdata(L, lua_upvalueindex(1));
    (void)status, (void)extra;
    if (stream->taken == stream->bytes.len) {
        enum bw_stream_state state = fill(L, stream, "read");
        if (state == BW_STREAM_WAITS) return lua_yieldk(L, 0, 0, read_on);
        if (state == BW_STREAM_END) return 0;
    }
    bw_budget_charge(L, stream->bytes.len - stream->taken);
    lua_pushlstring(L, stream->bytes.data + stream->taken, stream->bytes.len - stream->taken);
    stream->taken = stream->bytes.len;
    return 1;
}

static int answer_read(lua_State *L)
{
    return read_on(L, LUA_OK, 0);
}

static void push_event(lua_State *L, const struct bw_stream_event *event)
{
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, event->name.ptr, event->name.len);
    lua_setfield(L, -2, "event");
    lua_pushlstring(L, event->data.ptr, event->data.len);
    lua_setfield(L, -2, "data");
    if (!event->id.len) return;
    lua_pushlstring(L, event->id.ptr, event->id.len);
    lua_setfield(L, -2, "id");
}

static int next_event(lua_State *L, int status, lua_KContext extra)
{
    struct stream *stream = lua_touserdata(L, lua_upvalueindex(1));
    (void)status, (void)extra;
    for (;;) {
        struct bw_slice rest = {stream->bytes.data + stream->taken, stream->bytes.len - stream->taken};
        struct bw_stream_event event;
        enum bw_event_stream_state found = rest.len ? bw_event_stream_next(&stream->form, &rest, &event) : BW_EVENT_STREAM_MORE;
        bw_budget_charge(L, stream->bytes.len - stream->taken - rest.len);
        stream->taken = stream->bytes.len - rest.len;
        if (found == BW_EVENT_STREAM_EVENT) {
            push_event(L, &event);
            return 1;
        }
        if (found == BW_EVENT_STREAM_TOO_LARGE) bw_api_raise_transient(L, "http.too_large", "an event of the stream is larger than 1 MiB", false);
        if (found == BW_EVENT_STREAM_MEMORY) bw_api_raise_transient(L, "http.memory", "out of memory for an event of the stream", true);
        enum bw_stream_state state = fill(L, stream, "events");
        if (state == BW_STREAM_WAITS) return lua_yieldk(L, 0, 0, next_event);
        if (state == BW_STREAM_END) return 0;
    }
}

static int iterate(lua_State *L)
{
    return next_event(L, LUA_OK, 0);
}

/* for event in answer.events(): the userdata is the closing value, so that leaving the loop gives the answer up. */
static int answer_events(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, iterate, 1);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    return 4;
}

static int answer_index(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (!strcmp(name, "body") || !strcmp(name, "json")) return luaL_error(L, "a streamed answer has no %s: use its read() or events()", name);
    return 0;
}

static void push_metatable(lua_State *L, const char *key, const luaL_Reg *functions)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TNIL) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 3);
    luaL_setfuncs(L, functions, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

int bw_stream_add(lua_State *L, struct bw_task *task, int64_t idle_ms)
{
    static const luaL_Reg of_stream[] = {{"__gc", stream_gc}, {"__close", stream_leave}, {NULL, NULL}};
    static const luaL_Reg of_answer[] = {{"__index", answer_index}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"read", answer_read}, {"events", answer_events}, {"close", answer_close}, {NULL, NULL}};
    struct bw_script *script = task->script;
    struct stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
    *stream = (struct stream){.number = ++script->streams, .form = {.max_bytes = EVENT_BYTES_MAX}, .idle_ms = idle_ms};
    task->stream = stream->number;
    push_metatable(L, &stream_key, of_stream);
    lua_setmetatable(L, -2);
    for (const luaL_Reg *function = functions; function->name; function++) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, function->func, 1);
        lua_setfield(L, -3, function->name);
    }
    lua_pop(L, 1);
    push_metatable(L, &answer_key, of_answer);
    lua_setmetatable(L, -2);
    return 1;
}
