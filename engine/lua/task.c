/* One attempt of one step's code: a coroutine that runs in slices and waits in between. */
#include "base/log.h"
#include "lua/internal.h"
#include <stdlib.h>
#include <string.h>

static int print_to_log(lua_State *L)
{
    struct bw_task *task = bw_lua_script(L)->task;
    luaL_Buffer line;
    int count = lua_gettop(L);
    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1) luaL_addchar(&line, '\t');
        if (lua_type(L, i) == LUA_TSTRING || lua_type(L, i) == LUA_TNUMBER)
            lua_pushvalue(L, i);
        else
            lua_pushstring(L, lua_isboolean(L, i) ? (lua_toboolean(L, i) ? "true" : "false") : luaL_typename(L, i));
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    struct bw_slice text;
    text.ptr = lua_tolstring(L, -1, &text.len);
    if (task && task->options.services.log) task->options.services.log(task->options.services.arg, "info", text);
    return 0;
}

/* Makes the coroutine: function, then its arguments. */
static int prepare(lua_State *L)
{
    struct bw_task *task = lua_touserdata(L, 1);
    struct bw_script *script = task->script;
    const struct bw_step *step = &script->workflow->steps[task->options.step];
    lua_rawgeti(L, LUA_REGISTRYINDEX, script->env_ref);
    int env = lua_gettop(L);
    lua_pushcfunction(L, print_to_log);
    lua_setfield(L, env, "print");
    task->thread = lua_newthread(L);
    task->thread_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_rawgeti(L, LUA_REGISTRYINDEX, script->code_refs[task->options.step]);
    bw_value_push_json(L, bw_json_view_of(task->options.input.len ? task->options.input : BW_SLICE("{}")));
    int input = lua_gettop(L);
    if (step->kind == BW_STEP_LUA) {
        lua_pushvalue(L, env);
        if (!lua_setupvalue(L, input - 1, 1)) lua_pop(L, 1);
        lua_pushvalue(L, input - 1);
        lua_pushvalue(L, input);
        bw_api_push_ctx(L, task);
    } else {
        lua_pushvalue(L, input - 1); /* the file's chunk, executed anew for each run */
        bw_action_call_chunk(L, env);
        lua_getfield(L, -1, "run");
        bw_api_push_ctx(L, task);
        lua_pushvalue(L, input);
    }
    if (!lua_checkstack(task->thread, 8)) return luaL_error(L, "out of memory");
    lua_xmove(L, task->thread, 3);
    task->pending_args = 2;
    return 0;
}

static void place_of(struct bw_task *task)
{
    const struct bw_script *script = task->script;
    const struct bw_step *step = &script->workflow->steps[task->options.step];
    if (step->kind == BW_STEP_LUA)
        task->place = (struct bw_code_place){script->workflow->file.ptr, step->lua_mark.line, 0};
    else
        task->place = (struct bw_code_place){script->actions[task->options.step]->file, 1, 0};
}

struct bw_task *bw_task_new(struct bw_script *script, const struct bw_task_options *options, struct bw_error *err)
{
    struct bw_task *task = calloc(1, sizeof *task);
    if (!task) {
        bw_error_set(err, "memory", "out of memory");
        return NULL;
    }
    task->script = script;
    task->options = *options;
    task->thread_ref = LUA_NOREF;
    snprintf(task->key, sizeof task->key, "%s", options->idempotency_key ? options->idempotency_key : "");
    place_of(task);
    bw_budget_begin_task(script, options->deadline_us);
    script->task = task;
    lua_State *L = script->L;
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, task);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) bw_lua_error(script, L, status, &task->place, "lua.error", err);
    script->task = NULL;
    bw_budget_end(script);
    if (status == LUA_OK) return task;
    bw_task_free(task);
    return NULL;
}

void bw_task_free(struct bw_task *task)
{
    if (!task) return;
    luaL_unref(task->script->L, LUA_REGISTRYINDEX, task->thread_ref); /* the collector takes it; its __close handlers do not run */
    bw_buf_free(&task->request_bytes);
    bw_buf_free(&task->answer_bytes);
    bw_buf_free(&task->output);
    free(task->request_headers);
    free(task->answer_headers);
    free(task);
}

struct finishing {
    struct bw_task *task;
    bool is_failure;
};

/* What the code returned (moved to the main thread's stack as argument 2) → output or failure. */
static int finish_entry(lua_State *L)
{
    struct finishing *finishing = lua_touserdata(L, 1);
    struct bw_task *task = finishing->task;
    if (bw_api_is_failure(L, 2, &task->failure)) {
        finishing->is_failure = true;
    } else if (lua_isnil(L, 2)) {
        bw_buf_append_text(&task->output, "{}");
    } else if (lua_istable(L, 2) && lua_rawlen(L, 2) == 0) {
        bw_value_to_json(L, 2, &task->output);
        if (bw_slice_is(bw_buf_slice(&task->output), "[]")) return luaL_error(L, "a step returns a table with names: return {items = …}");
    } else if (lua_istable(L, 2)) {
        bw_value_to_json(L, 2, &task->output);
        if (task->output.data && *task->output.data == '[') { /* a list becomes a field of its own */
            struct bw_buf wrapped = {0};
            bw_buf_append_text(&wrapped, "{\"value\":");
            bw_buf_append_slice(&wrapped, bw_buf_slice(&task->output));
            bw_buf_append_char(&wrapped, '}');
            bw_buf_free(&task->output);
            task->output = wrapped;
        }
    } else {
        bw_buf_append_text(&task->output, "{\"value\":");
        bw_value_to_json(L, 2, &task->output);
        bw_buf_append_char(&task->output, '}');
    }
    return 0;
}

static enum bw_task_state fail(struct bw_task *task, lua_State *L, int status)
{
    if (!bw_api_is_failure(L, -1, &task->failure)) {
        task->failure.class = BW_FAILURE_BUG; /* not tried again: the code would fail again */
        task->failure.retry_after_ms = -1;
        bw_lua_error(task->script, L, status, &task->place, "lua.error", &task->failure.error);
        if (!strncmp(task->failure.error.message, "lua.denied: ", 12)) {
            memmove(task->failure.error.message, task->failure.error.message + 12, strlen(task->failure.error.message) - 11);
            memcpy(task->failure.error.code, "lua.denied", sizeof "lua.denied");
        }
    }
    return BW_TASK_FAILED;
}

static enum bw_task_state finish(struct bw_task *task, int results)
{
    struct bw_script *script = task->script;
    struct finishing finishing = {task, false};
    lua_State *L = script->L, *thread = task->thread;
    if (!results)
        lua_pushnil(thread);
    else
        lua_pop(thread, results - 1); /* only the first result counts */
    lua_pushcfunction(L, finish_entry);
    lua_pushlightuserdata(L, &finishing);
    lua_xmove(thread, L, 1);
    int status = lua_pcall(L, 2, 0, 0);
    if (status != LUA_OK) {
        task->failure.class = BW_FAILURE_BUG;
        task->failure.retry_after_ms = -1;
        bw_lua_error(script, L, status, &task->place, "output.invalid", &task->failure.error);
        return BW_TASK_FAILED;
    }
    return finishing.is_failure ? BW_TASK_FAILED : BW_TASK_DONE;
}

enum bw_task_state bw_task_resume(struct bw_task *task)
{
    struct bw_script *script = task->script;
    int results = 0, arguments = task->pending_args;
    enum bw_task_state state;
    task->pending_args = 0;
    task->is_waiting = false;
    bw_budget_begin_task(script, task->options.deadline_us);
    script->task = task;
    int status = lua_resume(task->thread, script->L, arguments, &results);
    if (status == LUA_YIELD) {
        lua_pop(task->thread, results);
        state = task->is_waiting ? BW_TASK_WAITS : BW_TASK_YIELDED;
    } else if (status == LUA_OK) {
        state = finish(task, results);
    } else {
        state = fail(task, task->thread, status);
    }
    script->task = NULL;
    bw_budget_end(script);
    return state;
}

const struct bw_task_request *bw_task_request(const struct bw_task *task) { return &task->request; }

static struct bw_slice keep(struct bw_buf *bytes, struct bw_slice text)
{
    struct bw_slice kept = {(const char *)bytes->len, text.len};
    bw_buf_append_slice(bytes, text);
    bw_buf_append_char(bytes, '\0');
    return kept;
}

void bw_task_answer(struct bw_task *task, const struct bw_http_answer *answer)
{
    if (!answer) return;
    bw_buf_clear(&task->answer_bytes);
    free(task->answer_headers);
    task->answer = *answer;
    task->answer_headers = calloc(answer->header_count + 1, sizeof *task->answer_headers);
    if (answer->error) task->answer_error = *answer->error;
    task->answer.error = &task->answer_error;
    task->answer.body = keep(&task->answer_bytes, answer->body);
    for (size_t i = 0; task->answer_headers && i < answer->header_count; i++)
        task->answer_headers[i] = (struct bw_http_header){keep(&task->answer_bytes, answer->headers[i].name), keep(&task->answer_bytes, answer->headers[i].value)};
    if (!task->answer_headers || task->answer_bytes.failed) {
        bw_error_set(&task->answer_error, "http.memory", "out of memory for the answer");
        task->answer = (struct bw_http_answer){.error = &task->answer_error, .transient = true};
        return;
    }
    const char *base = task->answer_bytes.data;
    task->answer.body.ptr = base + (size_t)task->answer.body.ptr;
    for (size_t i = 0; i < answer->header_count; i++) {
        task->answer_headers[i].name.ptr = base + (size_t)task->answer_headers[i].name.ptr;
        task->answer_headers[i].value.ptr = base + (size_t)task->answer_headers[i].value.ptr;
    }
    task->answer.headers = task->answer_headers;
}

struct bw_slice bw_task_output(const struct bw_task *task) { return bw_buf_slice(&task->output); }
const struct bw_task_failure *bw_task_failure(const struct bw_task *task) { return &task->failure; }
