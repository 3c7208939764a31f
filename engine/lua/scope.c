/* The names of expressions: event, steps, vars, workflow, run, secrets, result, and ok/status/err. Looked up when they are used; an unknown name is
 * an error. */
#include "base/codec.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "lua/internal.h"
#include "workflow/names.h"
#include <stdio.h>
#include <string.h>

static void append_field(struct bw_buf *out, const char *name, struct bw_slice text)
{
    bw_buf_append_text(out, name);
    bw_buf_append_json_string(out, text);
}

static bool is_utf8(struct bw_slice text)
{
    for (size_t at = 0, len; at < text.len; at += len)
        if (!(len = bw_utf8_length(text.ptr + at, text.len - at))) return false;
    return true;
}

/* The event as one JSON text: then it is a view like all other data, read-only and passed on whole. */
void bw_script_write_event(const struct bw_run_scope *scope, struct bw_buf *out)
{
    append_field(out, "{\"id\":", scope->event_id);
    append_field(out, ",\"name\":", scope->event_name);
    append_field(out, ",\"source\":", scope->event_source);
    bw_buf_printf(out, ",\"at\":%lld,\"trusted\":%s,\"headers\":", (long long)scope->event_at_ms, scope->event_trusted ? "true" : "false");
    bw_buf_append_slice(out, scope->event_headers.len ? scope->event_headers : BW_SLICE("{}"));
    if (scope->body_is_json && scope->event_body.len) {
        bw_buf_append_text(out, ",\"data\":");
        bw_buf_append_slice(out, scope->event_body);
    } else if (scope->event_body.len && is_utf8(scope->event_body) && !memchr(scope->event_body.ptr, '\0', scope->event_body.len)) {
        append_field(out, ",\"data\":", scope->event_body);
    } else if (scope->event_body.len) { /* bytes that are no text */
        bw_buf_append_text(out, ",\"body_base64\":\"");
        bw_base64_append(out, scope->event_body.ptr, scope->event_body.len);
        bw_buf_append_char(out, '"');
    }
    bw_buf_append_char(out, '}');
}

static void push_event(lua_State *L, struct bw_script *script)
{
    if (script->event_ref != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, script->event_ref);
        return;
    }
    bw_buf_clear(&script->event_text);
    bw_script_write_event(&script->scope, &script->event_text);
    if (script->event_text.failed) luaL_error(L, "out of memory");
    bw_view_push(L, bw_json_view_of(bw_buf_slice(&script->event_text)));
    lua_pushvalue(L, -1);
    script->event_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* A run that was not made of several has one. */
static void push_events(lua_State *L, struct bw_script *script)
{
    struct bw_slice text = script->scope.events;
    if (script->events_ref != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, script->events_ref);
        return;
    }
    if (!text.len) {
        bw_buf_clear(&script->events_text);
        bw_buf_append_char(&script->events_text, '[');
        bw_script_write_event(&script->scope, &script->events_text);
        bw_buf_append_char(&script->events_text, ']');
        if (script->events_text.failed) luaL_error(L, "out of memory");
        text = bw_buf_slice(&script->events_text);
    }
    bw_view_push(L, bw_json_view_of(text));
    lua_pushvalue(L, -1);
    script->events_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* {"NAME": text} as a view; the text lives in a buffer of the script until it is asked for anew. */
static void push_single(lua_State *L, struct bw_buf *out, const char *start, struct bw_slice text)
{
    bw_buf_clear(out);
    append_field(out, start, text);
    bw_buf_append_char(out, '}');
    if (out->failed) luaL_error(L, "out of memory");
    bw_view_push(L, bw_json_view_of(bw_buf_slice(out)));
}

static int64_t find_step(const struct bw_script *script, struct bw_slice id)
{
    for (size_t i = 0; id.len && i < script->workflow->step_count; i++)
        if (bw_slice_equal(script->workflow->steps[i].id, id)) return (int64_t)i;
    return -1;
}

static const struct bw_step_value *step_argument(lua_State *L, int index)
{
    static const struct bw_step_value none = {.status = BW_STATUS_NONE};
    struct bw_script *script = bw_lua_script(L);
    struct bw_slice id;
    id.ptr = luaL_checklstring(L, index, &id.len);
    int64_t found = find_step(script, id);
    if (found < 0) luaL_error(L, "there is no step '%s'", id.ptr);
    return script->steps ? &script->steps[found] : &none;
}

static int steps_index(lua_State *L)
{
    const struct bw_step_value *value = step_argument(L, 2);
    if (!value->output.len) return 0;
    bw_view_push(L, bw_json_view_of(value->output));
    return 1;
}

static int step_ok(lua_State *L)
{
    lua_pushboolean(L, step_argument(L, 1)->status == BW_STATUS_SUCCEEDED);
    return 1;
}

static int step_status(lua_State *L)
{
    static const char *const texts[] = {
        [BW_STATUS_SUCCEEDED] = "succeeded", [BW_STATUS_FAILED] = "failed", [BW_STATUS_SKIPPED] = "skipped", [BW_STATUS_UNKNOWN] = "unknown"};
    enum bw_step_status status = step_argument(L, 1)->status;
    if (status == BW_STATUS_NONE) return 0;
    lua_pushstring(L, texts[status]);
    return 1;
}

static int step_error(lua_State *L)
{
    const struct bw_step_value *value = step_argument(L, 1);
    if (!value->error.len) return 0;
    bw_view_push(L, bw_json_view_of(value->error));
    return 1;
}

static int refuse_write(lua_State *L)
{
    return luaL_error(L, "expressions cannot assign");
}

/* No table: passed on whole it is an error, not {}. */
static void open_names(lua_State *L, lua_CFunction index, const char *key)
{
    lua_newuserdatauv(L, 1, 0);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

static int config_index(lua_State *L)
{
    const struct bw_render *render = bw_lua_script(L)->render;
    struct bw_json_view value;
    struct bw_slice name;
    name.ptr = luaL_checklstring(L, 2, &name.len);
    if (!render || !render->config.len) return luaL_error(L, "`config` can only be used in the `with` of a step");
    if (!bw_json_view_get(bw_json_view_of(render->config), name, &value))
        return luaL_error(L, "there is no config.%s in bellwire.yaml (SIGHUP reads it again)", name.ptr);
    bw_view_push(L, value);
    return 1;
}

static const char steps_key, config_key;

static bool push_local(lua_State *L, struct bw_script *script, struct bw_slice name)
{
    struct bw_slice locals = script->render && script->render->locals.len ? script->render->locals : script->scope.locals;
    struct bw_json_view value;
    if (!locals.len || !bw_json_view_get(bw_json_view_of(locals), name, &value)) return false;
    bw_view_push(L, value);
    return true;
}

static int scope_index(lua_State *L)
{
    struct bw_script *script = bw_lua_script(L);
    struct bw_slice name;
    if (lua_type(L, 2) != LUA_TSTRING) return 0;
    name.ptr = lua_tolstring(L, 2, &name.len);
    if (bw_slice_is(name, "event")) {
        push_event(L, script);
    } else if (bw_slice_is(name, "events") && script->workflow->collect.max_events) {
        push_events(L, script);
    } else if (bw_slice_is(name, "steps")) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &steps_key);
    } else if (bw_slice_is(name, "vars")) {
        bw_view_push(L, bw_json_view_of(script->workflow->vars.len ? script->workflow->vars : BW_SLICE("{}")));
    } else if (bw_slice_is(name, "secrets")) {
        bw_secret_push_table(L);
    } else if (bw_slice_is(name, "config")) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &config_key);
    } else if (bw_slice_is(name, "workflow")) {
        push_single(L, &script->workflow_text, "{\"name\":", script->workflow->name);
    } else if (bw_slice_is(name, "run")) {
        push_single(L, &script->run_text, "{\"id\":", script->scope.run_id);
    } else if (bw_slice_is(name, "result")) {
        if (!script->render || !script->render->result.len)
            return luaL_error(L, "`result` can only be used in the `outputs` and the `undo` of a step");
        bw_view_push(L, bw_json_view_of(script->render->result));
    } else if (bw_slice_is(name, "approval")) {
        if (!script->render || !script->render->approval.len) return luaL_error(L, "`approval` can only be used in the `notify` of an `approve`");
        bw_view_push(L, bw_json_view_of(script->render->approval));
    } else if (bw_slice_is(name, "step") && script->render && script->render->step.len) {
        bw_view_push(L, bw_json_view_of(script->render->step));
    } else if (bw_slice_is(name, "inputs")) {
        bw_view_push(L, bw_json_view_of(script->scope.inputs.len ? script->scope.inputs : BW_SLICE("{}")));
    } else if (bw_slice_is(name, "error")) { /* nil in a `finally` when all went well */
        if (script->scope.error.len)
            bw_view_push(L, bw_json_view_of(script->scope.error));
        else
            lua_pushnil(L);
    } else if (bw_env_push_library(L, name.ptr)) {
        lua_pushvalue(L, -1);
        lua_setfield(L, 1, name.ptr);
    } else if (!push_local(L, script, name) && !bw_helpers_load(L, 1, name.ptr)) {
        const char *near = bw_suggest(name, bw_expr_names, bw_expr_name_count);
        return luaL_error(L, near ? "unknown name '%s' (did you mean '%s'?)" : "unknown name '%s'", name.ptr, near);
    }
    return 1;
}

void bw_scope_open(lua_State *L, int env)
{
    static const luaL_Reg functions[] = {{"ok", step_ok}, {"status", step_status}, {"err", step_error}, {NULL, NULL}};
    lua_pushvalue(L, env);
    luaL_setfuncs(L, functions, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, scope_index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
    open_names(L, steps_index, &steps_key);
    open_names(L, config_index, &config_key);
}
