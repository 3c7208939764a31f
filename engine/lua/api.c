/* ctx: what the code of a step can reach. One table of functions for the state; each task has a small table of its own in front of it. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/suggest.h"
#include "base/units.h"
#include "lua/internal.h"
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DURATION_MAX_S (366 * 86400)
#define PROGRESS_BYTES_MAX 200 /* the last ones */
#define BYTES_PER_UNIT 16
#define PRINTED_BYTES_PER_UNIT 64
#define SHORT_BYTES 4096

static const char ctx_key, failure_key;

static struct bw_task *current(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    if (!task) luaL_error(L, "ctx can only be used while a step runs");
    return task;
}

void bw_api_check_keys(lua_State *L, const char *function, const char *const *known, size_t count)
{
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        struct bw_slice key = BW_SLICE("1");
        size_t i = 0;
        if (lua_type(L, -2) == LUA_TSTRING) key.ptr = lua_tolstring(L, -2, &key.len);
        while (i < count && !bw_slice_is(key, known[i])) i++;
        if (i < count) continue;
        const char *near = bw_suggest(key, known, count);
        luaL_error(L, near ? "ctx.%s: unknown field '%s' (did you mean '%s'?)" : "ctx.%s: unknown field '%s'", function, key.ptr, near);
    }
}

/* ---- failing on purpose ---- */

/* -1: not given or not readable (a foreign server's header must not be an error of ours). Never negative otherwise. */
int64_t bw_api_duration_ms(lua_State *L, int index)
{
    struct bw_slice text;
    struct tm date = {0};
    char *end;
    int64_t ms;
    if (lua_type(L, index) == LUA_TNUMBER) {
        double seconds = lua_tonumber(L, index);
        return seconds >= 0 && seconds <= DURATION_MAX_S ? (int64_t)(seconds * 1000) : seconds > DURATION_MAX_S ? DURATION_MAX_S * INT64_C(1000) : -1;
    }
    if (lua_type(L, index) != LUA_TSTRING) return -1;
    text.ptr = lua_tolstring(L, index, &text.len);
    if (bw_duration_parse(text, &ms, NULL)) return ms;
    long long seconds = strtoll(text.ptr, &end, 10); /* a Retry-After header: seconds, or a date */
    if (end != text.ptr && !*end) return seconds < 0 ? -1 : (seconds < DURATION_MAX_S ? seconds : DURATION_MAX_S) * INT64_C(1000);
    if (!strptime(text.ptr, "%a, %d %b %Y %H:%M:%S", &date)) return -1;
    ms = (int64_t)timegm(&date) * 1000 - bw_clock_wall_ms();
    return ms < 0 ? 0 : ms < DURATION_MAX_S * INT64_C(1000) ? ms : DURATION_MAX_S * INT64_C(1000);
}

/* {kind, code, message, after_ms} with a metatable that marks it: returned or raised, it means the same. */
static int make_failure(lua_State *L, const char *kind, const char *code, const char *message, int64_t after_ms)
{
    lua_createtable(L, 0, 5);
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, strcmp(kind, "retry") ? "permanent" : "transient");
    lua_setfield(L, -2, "class");
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, after_ms);
    lua_setfield(L, -2, "after_ms");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &failure_key);
    lua_setmetatable(L, -2);
    return 1;
}

static int ask_failure(lua_State *L, const char *kind, const char *otherwise)
{
    static const char *const known[] = {"code", "message", "after"};
    size_t count = strcmp(kind, "retry") ? 2 : 3;
    const char *code = otherwise, *message = "";
    int64_t after = -1;
    lua_settop(L, 1);
    if (lua_istable(L, 1)) {
        bw_api_check_keys(L, kind, known, count);
        lua_getfield(L, 1, "code");
        code = luaL_optstring(L, -1, otherwise);
        lua_getfield(L, 1, "message");
        message = luaL_optstring(L, -1, "");
        if (count == 3) {
            lua_getfield(L, 1, "after");
            after = bw_api_duration_ms(L, -1);
        }
    } else {
        message = luaL_optstring(L, 1, "");
    }
    struct bw_task *task = bw_lua_script(L)->task;
    if (task) task->unused_failure = strcmp(kind, "retry") ? "ctx.fail" : "ctx.retry";
    return make_failure(L, kind, code, *message ? message : code, after);
}

static int ctx_fail(lua_State *L)
{
    return ask_failure(L, "fail", "failed");
}
static int ctx_retry(lua_State *L)
{
    return ask_failure(L, "retry", "retry");
}

/* A value as those: returned, it says that the result will be posted. */
static int ctx_pending(lua_State *L)
{
    static const char *const known[] = {"within"};
    struct bw_task *task = current(L);
    int64_t within_ms = 0;
    lua_settop(L, 1);
    if (!lua_isnil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        bw_api_check_keys(L, "pending", known, 1);
        lua_getfield(L, 1, "within");
        if (!lua_isnil(L, -1) && (within_ms = bw_api_duration_ms(L, -1)) < 1)
            return luaL_error(L, "pending: within must be seconds or a duration such as \"2h\"");
    }
    task->unused_failure = "ctx.pending";
    return make_failure(L, "pending", "pending", "its result will be posted", within_ms);
}

static int ctx_callback_url(lua_State *L)
{
    const struct bw_task_services *services = &current(L)->options.services;
    struct bw_buf *out = bw_lua_push_buf(L);
    if (!services->callback_url || !services->callback_url(services->arg, out))
        return luaL_error(L, "no link to this step can be made: nothing listens, or its path has more than 64 bytes");
    lua_pushlstring(L, out->data, out->len);
    bw_buf_free(out);
    return 1;
}

int bw_api_raise_transient(lua_State *L, const char *code, const char *message, bool is_transient)
{
    make_failure(L, is_transient ? "retry" : "fail", code, message, -1);
    return lua_error(L);
}

static void copy_field(lua_State *L, int index, const char *name, char *out, size_t size)
{
    lua_pushstring(L, name);
    lua_rawget(L, index);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    snprintf(out, size, "%s", text);
    lua_pop(L, 1);
}

bool bw_api_is_failure(lua_State *L, int index, struct bw_task_failure *failure)
{
    char kind[16], code[48], message[512];
    index = lua_absindex(L, index);
    if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &failure_key);
    bool is_failure = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!is_failure) return false;
    copy_field(L, index, "kind", kind, sizeof kind);
    copy_field(L, index, "code", code, sizeof code);
    copy_field(L, index, "message", message, sizeof message);
    bw_error_set(&failure->error, *code ? code : "failed", "%s", message);
    failure->class = !strcmp(kind, "retry") ? BW_FAILURE_TRANSIENT : !strcmp(kind, "pending") ? BW_FAILURE_NONE : BW_FAILURE_PERMANENT;
    lua_pushliteral(L, "after_ms");
    lua_rawget(L, index);
    failure->retry_after_ms = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
    lua_pop(L, 1);
    return true;
}

/* ---- small services ---- */

static int ctx_secret(lua_State *L)
{
    const struct bw_task *task = current(L);
    struct bw_slice name;
    if (lua_istable(L, 1)) { /* as it stands in the configuration: {secret = NAME} */
        lua_pushliteral(L, "secret");
        if (lua_rawget(L, 1) != LUA_TSTRING) return luaL_argerror(L, 1, "the name of a secret is wanted, or what the configuration says of one");
        lua_replace(L, 1);
    }
    name.ptr = luaL_checklstring(L, 1, &name.len);
    for (size_t i = 0; i < task->options.grant_count; i++)
        if (bw_slice_equal(task->options.grants[i].name, name)) {
            lua_pushlstring(L, task->options.grants[i].value.ptr, task->options.grants[i].value.len);
            return 1;
        }
    return luaL_error(
        L, "the secret '%s' is not declared by the action and granted by the workflow, nor named in the configuration of its plugin, or has no value",
        name.ptr);
}

static int log_at(lua_State *L, const char *level, int index)
{
    struct bw_task *task = current(L);
    struct bw_slice text;
    if (lua_type(L, index) == LUA_TSTRING || lua_type(L, index) == LUA_TNUMBER) {
        text.ptr = lua_tolstring(L, index, &text.len);
        bw_task_log(task, level, text);
        return 0;
    }
    struct bw_buf *out = bw_lua_push_buf(L);
    bw_value_to_json(L, index, out);
    bw_task_log(task, level, bw_buf_slice(out));
    bw_buf_free(out);
    return 0;
}

/* print(…): its arguments as text, with tabs between them, as an info line */
int bw_api_print(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    struct bw_slice text;
    luaL_Buffer line;
    int count = lua_gettop(L);
    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1) luaL_addchar(&line, '\t');
        lua_pushcfunction(L, bw_string_tostring);
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        bw_budget_charge(L, lua_rawlen(L, -1) / PRINTED_BYTES_PER_UNIT);
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    text.ptr = lua_tolstring(L, -1, &text.len);
    if (task) bw_task_log(task, "info", text);
    return 0;
}

static int log_call(lua_State *L)
{
    return luaL_checkany(L, 2), log_at(L, "info", 2);
} /* ctx.log(value): 1 is the table itself */
static int log_debug(lua_State *L)
{
    return luaL_checkany(L, 1), log_at(L, "debug", 1);
}
static int log_info(lua_State *L)
{
    return luaL_checkany(L, 1), log_at(L, "info", 1);
}
static int log_warn(lua_State *L)
{
    return luaL_checkany(L, 1), log_at(L, "warn", 1);
}
static int log_error(lua_State *L)
{
    return luaL_checkany(L, 1), log_at(L, "error", 1);
}

static int ctx_cancelled(lua_State *L)
{
    const struct bw_task *task = current(L);
    lua_pushboolean(L, task->options.services.cancelled && task->options.services.cancelled(task->options.services.arg));
    return 1;
}

void bw_api_refuse_unwanted(lua_State *L, const struct bw_task *task)
{
    const struct bw_task_services *services = &task->options.services;
    if (services->cancelled && services->cancelled(services->arg))
        bw_api_raise_transient(L, BW_STEP_CANCELLED, "the step is not wanted any more: it can wait for nothing", false);
}

static int ctx_heartbeat(lua_State *L)
{
    const struct bw_task *task = current(L);
    if (task->options.services.heartbeat) task->options.services.heartbeat(task->options.services.arg);
    return 0;
}

static int ctx_progress(lua_State *L)
{
    const struct bw_task *task = current(L);
    struct bw_slice text;
    text.ptr = luaL_checklstring(L, 1, &text.len);
    if (text.len > PROGRESS_BYTES_MAX) text = (struct bw_slice){text.ptr + text.len - PROGRESS_BYTES_MAX, PROGRESS_BYTES_MAX};
    if (task->options.services.progress) task->options.services.progress(task->options.services.arg, text);
    return 0;
}

static int ctx_now(lua_State *L)
{
    lua_pushinteger(L, bw_clock_wall_ms());
    return 1;
}

static int continue_sleep(lua_State *L, int status, lua_KContext extra)
{
    (void)status, (void)extra;
    bw_api_refuse_unwanted(L, current(L));
    return 0;
}

static int ctx_sleep(lua_State *L)
{
    struct bw_task *task = current(L);
    int64_t ms = bw_api_duration_ms(L, 1);
    if (!lua_isyieldable(L)) return luaL_error(L, "ctx.sleep cannot be used inside a callback of table.sort or string.gsub");
    if (ms < 0) return luaL_error(L, "sleep needs seconds or a duration such as \"500ms\"");
    bw_api_refuse_unwanted(L, task);
    task->request = (struct bw_task_request){.kind = BW_REQUEST_SLEEP, .sleep_ms = ms};
    task->is_waiting = true;
    return lua_yieldk(L, 0, 0, continue_sleep);
}

/* growth: how many times as long it may become. It is there twice for a moment, and counts as memory of the code. */
static int push_coded(lua_State *L, void (*append)(struct bw_buf *, struct bw_slice), size_t growth)
{
    const struct bw_lua_memory *memory = &bw_lua_script(L)->memory;
    struct bw_slice text;
    text.ptr = luaL_checklstring(L, 1, &text.len);
    bw_budget_charge(L, text.len / BYTES_PER_UNIT);
    if (memory->used + 2 * growth * text.len > memory->cap && text.len > SHORT_BYTES)
        return luaL_error(L, "lua.memory: the resulting text is too large");
    struct bw_buf *out = bw_lua_push_buf(L);
    bw_buf_reserve(out, growth * text.len); /* at once: growing would copy it */
    append(out, text);
    if (out->failed) return luaL_error(L, "out of memory");
    lua_pushlstring(L, out->data ? out->data : "", out->len);
    bw_buf_free(out);
    return 1;
}

static void append_base64(struct bw_buf *out, struct bw_slice text)
{
    bw_base64_append(out, text.ptr, text.len);
}
static int ctx_urlencode(lua_State *L)
{
    return push_coded(L, bw_url_encode_append, 3);
}
static int base64_encode(lua_State *L)
{
    return push_coded(L, append_base64, 2);
}

static int base64_decode(lua_State *L)
{
    struct bw_slice text;
    size_t len;
    text.ptr = luaL_checklstring(L, 1, &text.len);
    bw_budget_charge(L, text.len / BYTES_PER_UNIT);
    uint8_t *out = lua_newuserdatauv(L, text.len + 1, 0);
    if (!bw_base64_decode(text, out, text.len + 1, &len)) return 0;
    lua_pushlstring(L, (const char *)out, len);
    return 1;
}

static int base64_call(lua_State *L)
{
    lua_remove(L, 1);
    return base64_encode(L);
}

/* ctx.hmac("sha256", key, data [, "hex" | "base64" | "raw"]) */
static int ctx_hmac(lua_State *L)
{
    static const char *const algorithms[] = {"sha1", "sha256", "sha512", NULL}, *const encodings[] = {"hex", "base64", "raw", NULL};
    const EVP_MD *const digests[] = {EVP_sha1(), EVP_sha256(), EVP_sha512()};
    int algorithm = luaL_checkoption(L, 1, NULL, algorithms), encoding = luaL_checkoption(L, 4, "hex", encodings);
    size_t key_len, data_len;
    const char *key = luaL_checklstring(L, 2, &key_len), *data = luaL_checklstring(L, 3, &data_len);
    unsigned char mac[64];
    unsigned len = 0;
    char hex[129];
    luaL_argcheck(L, key_len > 0, 2, "the key is empty");
    bw_budget_charge(L, (key_len + data_len) / BYTES_PER_UNIT);
    if (!HMAC(digests[algorithm], key, (int)key_len, (const unsigned char *)data, data_len, mac, &len)) return luaL_error(L, "hmac failed");
    if (encoding == 0) {
        bw_hex_encode(mac, len, hex);
        lua_pushlstring(L, hex, 2 * len);
    } else if (encoding == 2) {
        lua_pushlstring(L, (const char *)mac, len);
    } else {
        lua_settop(L, 0);
        lua_pushlstring(L, (const char *)mac, len);
        return base64_encode(L);
    }
    return 1;
}

static int failure_tostring(lua_State *L)
{
    lua_getfield(L, 1, "message");
    return 1;
}

static int refuse_write(lua_State *L)
{
    return luaL_error(L, "ctx is read-only");
}

/* ctx.log, ctx.base64, ctx.json, ctx.usage and ctx.part, made when they are asked for: most code uses one of them, and states are many. */
static int group_index(lua_State *L)
{
    static const luaL_Reg log[] = {{"debug", log_debug}, {"info", log_info}, {"warn", log_warn}, {"error", log_error}, {NULL, NULL}};
    static const luaL_Reg base64[] = {{"encode", base64_encode}, {"decode", base64_decode}, {NULL, NULL}};
    static const struct {
        const char *name;
        const luaL_Reg *functions;
        lua_CFunction call;
    } groups[] = {{"log", log, log_call},
                  {"base64", base64, base64_call},
                  {"json", bw_json_functions, NULL},
                  {"usage", bw_usage_functions, NULL},
                  {"part", bw_part_functions, NULL},
                  {"cache", bw_cache_functions, NULL}};
    if (lua_type(L, 2) != LUA_TSTRING) return 0;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (strcmp(groups[i].name, lua_tostring(L, 2)) != 0) continue;
        lua_createtable(L, 0, 4);
        luaL_setfuncs(L, groups[i].functions, 0);
        if (groups[i].functions == bw_json_functions) {
            BW_LUA_NULL_PUSH(L);
            lua_setfield(L, -2, "null");
        }
        bw_env_protect(L, groups[i].call);
        lua_pushvalue(L, -1);
        lua_setfield(L, 1, groups[i].name);
        return 1;
    }
    return 0;
}

void bw_api_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"http", bw_api_http},
                                         {"secret", ctx_secret},
                                         {"fail", ctx_fail},
                                         {"retry", ctx_retry},
                                         {"cancelled", ctx_cancelled},
                                         {"heartbeat", ctx_heartbeat},
                                         {"progress", ctx_progress},
                                         {"pending", ctx_pending},
                                         {"callback_url", ctx_callback_url},
                                         {"now", ctx_now},
                                         {"sleep", ctx_sleep},
                                         {"urlencode", ctx_urlencode},
                                         {"hmac", ctx_hmac},
                                         {NULL, NULL}};
    lua_createtable(L, 0, 16);
    luaL_setfuncs(L, functions, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, group_index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &ctx_key);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, failure_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable"); /* shared by all runs of the state */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &failure_key);
}

void bw_api_push_ctx(lua_State *L, const struct bw_task *task)
{
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 3);
    lua_createtable(L, 0, 3); /* its values, then the functions */
    lua_pushstring(L, task->key);
    lua_setfield(L, -2, "idempotency_key");
    lua_pushinteger(L, task->options.attempt);
    lua_setfield(L, -2, "attempt");
    if (task->options.config.len) {
        bw_value_push_json(L, bw_json_view_of(task->options.config));
        lua_setfield(L, -2, "config");
    }
    lua_createtable(L, 0, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &ctx_key);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}
