/* ctx.http: the request is checked and handed to the worker's loop, the coroutine waits, the answer becomes a table. */
#include "base/codec.h"
#include "base/units.h"
#include "lua/internal.h"
#include <stdlib.h>
#include <string.h>

#define RESPONSE_BYTES_MAX (8u << 20)
#define STREAM_BYTES_MAX (64u << 20)
#define HEADERS_MAX 64
#define BYTES_PER_UNIT 64
static const char response_key;

static const char *const known[] = {"method", "url", "headers", "json", "body", "form", "timeout", "query", "stream", "idle"};

static bool has_break(struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] == '\0') return true;
    return false;
}

static bool is_token(struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!text.ptr[i] || !strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", text.ptr[i])) return false;
    return text.len > 0;
}

static struct bw_slice text_field(lua_State *L, const char *name, const char *otherwise)
{
    struct bw_slice text = bw_slice_of(otherwise);
    lua_getfield(L, 1, name);
    if (!lua_isnil(L, -1)) {
        if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "http: %s must be text", name);
        text.ptr = lua_tolstring(L, -1, &text.len);
    }
    return text; /* stays on the stack: the text lives as long as this call */
}

/* What of a request is on its way into it is memory of the code: `bytes` more of it. */
static void reserve(lua_State *L, size_t bytes)
{
    const struct bw_script *script = bw_lua_script(L);
    if (script->memory.used + script->task->request_bytes.len + bytes > script->memory.cap) luaL_error(L, "lua.memory: the request is too large");
}

/* name=value&… of a table with sorted keys. */
static void append_pairs(lua_State *L, int index, struct bw_buf *out, const char *what)
{
    struct bw_buf *json = bw_lua_push_buf(L);
    struct bw_slice raw_key;
    struct bw_json_view value;
    luaL_argexpected(L, lua_istable(L, index), index, what);
    bw_value_to_json(L, index, json);
    struct bw_json_iter iter = bw_json_view_iter(bw_json_view_of(bw_buf_slice(json)));
    struct bw_buf *scratch = bw_lua_push_buf(L);
    bool is_first = true;
    while (bw_json_iter_next(&iter, &raw_key, &value)) {
        enum bw_json_type type = bw_json_view_type(value);
        if (type == BW_JSON_OBJECT || type == BW_JSON_ARRAY) luaL_error(L, "http: %s holds a table: only texts, numbers and booleans", what);
        reserve(L, json->len + 2 * out->len + 6 * (raw_key.len + value.raw.len)); /* three times as long, and twice there while it grows */
        bw_budget_charge(L, (raw_key.len + value.raw.len) / BYTES_PER_UNIT * 4);
        if (!is_first) bw_buf_append_char(out, '&');
        is_first = false;
        bw_url_encode_append(out, bw_json_view_string((struct bw_json_view){raw_key}, scratch));
        bw_buf_append_char(out, '=');
        bw_url_encode_append(out, type == BW_JSON_STRING ? bw_json_view_string(value, scratch) : value.raw);
    }
}

/* A slice of request_bytes as an offset: the buffer may still move. */
static struct bw_slice keep(lua_State *L, struct bw_task *task, struct bw_slice text)
{
    reserve(L, text.len);
    bw_budget_charge(L, text.len / BYTES_PER_UNIT);
    struct bw_slice kept = {(const char *)task->request_bytes.len, text.len};
    bw_buf_append_slice(&task->request_bytes, text);
    bw_buf_append_char(&task->request_bytes, '\0'); /* libcurl wants C strings */
    return kept;
}

static void add_header(lua_State *L, struct bw_task *task, struct bw_slice name, struct bw_slice value)
{
    if (!is_token(name) || has_break(value))
        luaL_error(L, "http: the header '%s' is not allowed: a name must be a token, a value must hold no line break", name.ptr);
    if (task->request.header_count == HEADERS_MAX) luaL_error(L, "http: more than %d headers", HEADERS_MAX);
    task->request_headers[task->request.header_count++] = (struct bw_http_header){keep(L, task, name), keep(L, task, value)};
}

static bool read_headers(lua_State *L, struct bw_task *task)
{
    bool has_type = false;
    lua_getfield(L, 1, "headers");
    if (lua_isnil(L, -1)) return false;
    if (!lua_istable(L, -1)) luaL_error(L, "http: headers must be a table");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        struct bw_slice name, value;
        if (lua_type(L, -2) != LUA_TSTRING || (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER))
            luaL_error(L, "http: headers must map names to texts");
        name.ptr = lua_tolstring(L, -2, &name.len);
        lua_pushvalue(L, -1); /* a number turned into text must not change the table that is walked */
        value.ptr = lua_tolstring(L, -1, &value.len);
        add_header(L, task, name, value);
        has_type = has_type || bw_slice_is_nocase(name, "content-type");
        lua_pop(L, 1);
    }
    return has_type;
}

static void read_body(lua_State *L, struct bw_task *task, bool has_type)
{
    int given = 0;
    static const char *const kinds[] = {"json", "form", "body"};
    for (size_t i = 0; i < 3; i++) given += lua_getfield(L, 1, kinds[i]) != LUA_TNIL;
    if (given > 1) luaL_error(L, "http: give one of json, form and body");
    int body = lua_gettop(L), form = body - 1, json = body - 2;
    struct bw_buf *text = bw_lua_push_buf(L);
    const char *type = NULL;
    if (!lua_isnil(L, json)) {
        bw_value_to_json(L, json, text);
        type = "application/json";
    } else if (!lua_isnil(L, form)) {
        append_pairs(L, form, text, "form");
        type = "application/x-www-form-urlencoded";
    } else if (!lua_isnil(L, body)) {
        struct bw_slice given_text;
        given_text.ptr = luaL_checklstring(L, body, &given_text.len);
        reserve(L, 2 * given_text.len);
        bw_buf_append_slice(text, given_text);
    }
    task->request.body = keep(L, task, bw_buf_slice(text));
    if (type && !has_type) add_header(L, task, BW_SLICE("Content-Type"), bw_slice_of(type));
    bw_buf_free(text);
}

static void read_url(lua_State *L, struct bw_task *task)
{
    struct bw_slice url = text_field(L, "url", "");
    if (!url.len || has_break(url)) luaL_error(L, "http: url is missing or holds a line break");
    struct bw_buf *whole = bw_lua_push_buf(L);
    reserve(L, 2 * url.len);
    bw_buf_append_slice(whole, url);
    if (lua_getfield(L, 1, "query") != LUA_TNIL) {
        bw_buf_append_char(whole, memchr(url.ptr, '?', url.len) ? '&' : '?');
        append_pairs(L, lua_gettop(L), whole, "query");
    }
    task->request.url = keep(L, task, bw_buf_slice(whole));
    bw_buf_free(whole);
}

static int answered(lua_State *L, int status, lua_KContext extra);

int bw_api_http(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    int64_t ms = 0, idle_ms = 0;
    if (!task) return luaL_error(L, "ctx.http can only be used while a step runs");
    if (!lua_isyieldable(L)) return luaL_error(L, "ctx.http cannot be used inside a callback of table.sort or string.gsub");
    luaL_checktype(L, 1, LUA_TTABLE);
    bw_api_refuse_unwanted(L, task);
    bw_api_check_keys(L, "http", known, sizeof known / sizeof *known);
    bw_buf_clear(&task->request_bytes);
    struct bw_http_header *headers = realloc(task->request_headers, HEADERS_MAX * sizeof *headers);
    if (!headers) return luaL_error(L, "out of memory");
    task->request_headers = headers;
    task->request = (struct bw_task_request){.kind = BW_REQUEST_HTTP, .max_response_bytes = RESPONSE_BYTES_MAX};
    struct bw_slice method = text_field(L, "method", "GET");
    if (!is_token(method)) return luaL_error(L, "http: '%s' is no method", method.ptr);
    task->request.method = keep(L, task, method);
    read_url(L, task);
    read_body(L, task, read_headers(L, task));
    lua_getfield(L, 1, "timeout");
    if (!lua_isnil(L, -1) && (ms = bw_api_duration_ms(L, -1)) < 1)
        return luaL_error(L, "http: timeout must be seconds or a duration such as \"10s\"");
    task->request.timeout_ms = ms;
    lua_getfield(L, 1, "stream");
    task->request.is_stream = lua_toboolean(L, -1);
    if (task->request.is_stream) task->request.max_response_bytes = STREAM_BYTES_MAX;
    lua_getfield(L, 1, "idle");
    if (!lua_isnil(L, -1) && (!task->request.is_stream || (idle_ms = bw_api_duration_ms(L, -1)) < 1))
        return luaL_error(L, "http: idle goes with stream = true, and must be seconds or a duration such as \"30s\"");
    if (task->request_bytes.failed) return luaL_error(L, "out of memory");
    if ((headers = realloc(headers, (task->request.header_count + 1) * sizeof *headers))) task->request_headers = headers; /* it may wait for long */
    const char *base = task->request_bytes.data;
    struct bw_slice *fixed[] = {&task->request.method, &task->request.url, &task->request.body};
    for (size_t i = 0; i < 3; i++) fixed[i]->ptr = base + (size_t)fixed[i]->ptr;
    for (size_t i = 0; i < task->request.header_count; i++) {
        task->request_headers[i].name.ptr = base + (size_t)task->request_headers[i].name.ptr;
        task->request_headers[i].value.ptr = base + (size_t)task->request_headers[i].value.ptr;
    }
    task->request.headers = task->request_headers;
    task->is_waiting = true;
    if (task->request.is_stream) bw_stream_give_up(task); /* the one before it */
    return lua_yieldk(L, 0, idle_ms, answered);
}

/* answer.json: decoded when it is asked for; nil when the body is no JSON. */
static int response_index(lua_State *L)
{
    struct bw_slice body;
    if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "json") != 0) return 0;
    lua_pushliteral(L, "body");
    lua_rawget(L, 1);
    body.ptr = lua_tolstring(L, -1, &body.len);
    bw_budget_charge(L, body.len / BYTES_PER_UNIT);
    if (!body.ptr || !bw_json_scan(body, NULL, NULL, NULL)) return 0;
    bw_value_push_json(L, bw_json_view_of(body));
    lua_pushliteral(L, "json");
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static void push_headers(lua_State *L, const struct bw_http_answer *answer)
{
    lua_createtable(L, 0, (int)answer->header_count);
    for (size_t i = 0; i < answer->header_count; i++) {
        char name[128];
        size_t len = answer->headers[i].name.len < sizeof name - 1 ? answer->headers[i].name.len : sizeof name - 1;
        for (size_t k = 0; k < len; k++) {
            char c = answer->headers[i].name.ptr[k];
            name[k] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        name[len] = '\0';
        lua_pushlstring(L, answer->headers[i].value.ptr, answer->headers[i].value.len);
        lua_setfield(L, -2, name);
    }
}

/* idle_ms: of a stream, as long as nothing may come; 0: as long as the step may take. */
static int answered(lua_State *L, int status, lua_KContext idle_ms)
{
    struct bw_task *task = bw_lua_script(L)->task;
    const struct bw_http_answer *answer = &task->answer;
    (void)status;
    if (!answer->status) return bw_api_raise_transient(L, answer->error->code, answer->error->message, answer->transient);
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, answer->status);
    lua_setfield(L, -2, "status");
    push_headers(L, answer);
    lua_setfield(L, -2, "headers");
    if (task->request.is_stream) return bw_stream_add(L, task, idle_ms);
    lua_pushlstring(L, answer->body.ptr, answer->body.len);
    lua_setfield(L, -2, "body");
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &response_key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 2);
        lua_pushcfunction(L, response_index);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &response_key);
    }
    lua_setmetatable(L, -2);
    return 1;
}
