/* One attempt of one step's code: a coroutine that runs in slices and waits in between. */
#include "base/utf8.h"
#include "lua/internal.h"
#include <stdlib.h>
#include <string.h>

#define LOG_LINE_BYTES 8192
#define LOG_TASK_BYTES (256u << 10)
#define SWEPT_BYTES (64u << 10) /* what compiling modules and preparing a request left behind is not kept while thousands wait for their answers */

void bw_task_log(struct bw_task *task, const char *level, struct bw_slice text)
{
    const struct bw_task_services *services = &task->options.services;
    if (!services->log || task->log_bytes > LOG_TASK_BYTES) return;
    if (text.len > LOG_LINE_BYTES) text.len = bw_utf8_cut(text.ptr, LOG_LINE_BYTES);
    task->log_bytes += text.len + 64; /* an empty line costs something too */
    services->log(services->arg, level, text);
    if (task->log_bytes > LOG_TASK_BYTES)
        services->log(services->arg, "warn", BW_SLICE("this step logs too much: the rest of this attempt is left out"));
}

/* ---- the coroutine's own function: a C function that goes on in its continuations, so that all of the file runs in slices ---- */

static int keep_result(lua_State *L, int status, lua_KContext extra)
{
    (void)L, (void)status, (void)extra;
    return 1;
}

/* chunk, environment, input, ctx, action: calls its run(ctx, input). */
static int run_action(lua_State *L, int status, lua_KContext extra)
{
    (void)status, (void)extra;
    if (!lua_istable(L, 5)) return luaL_error(L, "the file must end with: return action{…}");
    if (lua_getfield(L, 5, "run") != LUA_TFUNCTION) return luaL_error(L, "the action has no function `run`");
    lua_replace(L, 1); /* what it says of itself is let go of: it may wait for long, and many do at once */
    lua_copy(L, 4, 2);
    lua_settop(L, 3);
    lua_callk(L, 2, 1, 0, keep_result);
    return 1;
}

static int run_file(lua_State *L)
{
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_callk(L, 1, 1, 0, run_action);
    return run_action(L, LUA_OK, 0);
}

/* NULL: it is the code of a `lua:` step. */
static const struct bw_action *action_of(const struct bw_task *task)
{
    const struct bw_script *script = task->script;
    if (task->options.action) return task->options.action;
    return script->workflow->steps[task->options.step].kind == BW_STEP_LUA ? NULL : script->actions[task->options.step];
}

/* What is made once of an action is kept in the registry by the action's address: it outlives the state. */
static void keep(lua_State *L, const struct bw_action *action)
{
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, action);
}

static void compile(lua_State *L, const struct bw_action *action)
{
    if (bw_script_compile(L, action->file, 1, BW_CHUNK_HEAD, action->source, "") != LUA_OK) lua_error(L);
}

static void push_compiled(lua_State *L, const struct bw_action *action)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, action) != LUA_TNIL) return;
    lua_pop(L, 1);
    compile(L, action);
    keep(L, action);
}

static void push_environment(lua_State *L, const struct bw_action *action)
{
    bw_env_push_fresh(L);
    if (!action) return;
    lua_pushcfunction(L, bw_action_mark);
    lua_setfield(L, -2, "action");
    bw_module_add_require(L, action);
}

/* Of a shared state: the file is executed once, and `run` is what is left of it. */
static void push_run(lua_State *L, const struct bw_action *action)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, action) != LUA_TNIL) return;
    lua_pop(L, 1);
    compile(L, action);
    push_environment(L, action);
    lua_call(L, 1, 1);
    if (!lua_istable(L, -1) || lua_getfield(L, -1, "run") != LUA_TFUNCTION) luaL_error(L, "the file must end with: return action{…}");
    lua_remove(L, -2);
    keep(L, action);
}

/* Makes the coroutine: a function and its arguments. The code was compiled once and is executed anew, in an environment of its own: no variable
 * survives an attempt, and no step can leave something behind that another one's code would call. */
static int prepare(lua_State *L)
{
    struct bw_task *task = lua_touserdata(L, 1);
    struct bw_script *script = task->script;
    const struct bw_action *action = action_of(task);
    struct bw_json_view input = bw_json_view_of(task->options.input.len ? task->options.input : BW_SLICE("{}"));
    task->thread = lua_newthread(L);
    task->thread_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (script->is_shared) {
        push_run(L, action);
        bw_api_push_ctx(L, task);
        bw_value_push_json(L, input);
        task->pending_args = 2;
    } else {
        if (action) lua_pushcfunction(L, run_file);
        if (task->options.action)
            push_compiled(L, action);
        else
            lua_rawgeti(L, LUA_REGISTRYINDEX, script->code_refs[task->options.step]);
        push_environment(L, action);
        bw_value_push_json(L, input);
        bw_api_push_ctx(L, task);
        task->pending_args = action ? 4 : 3;
    }
    if (!lua_checkstack(task->thread, 8)) return luaL_error(L, "lua.memory: out of memory");
    lua_xmove(L, task->thread, task->pending_args + 1);
    return 0;
}

static void place_of(struct bw_task *task)
{
    const struct bw_workflow *workflow = task->script->workflow;
    const struct bw_action *action = action_of(task);
    if (action)
        task->place = (struct bw_code_place){.file = action->file, .line = 1, .action = action};
    else
        task->place = (struct bw_code_place){.file = workflow->file.ptr, .line = workflow->steps[task->options.step].lua_mark.line};
}

/* The code may ask for a secret long after it was begun, and it may have been changed meanwhile. */
static bool keep_grants(struct bw_task *task)
{
    struct bw_task_options *options = &task->options;
    size_t bytes = options->grant_count * sizeof *task->grants;
    for (size_t i = 0; i < options->grant_count; i++) bytes += options->grants[i].name.len + options->grants[i].value.len;
    if (!options->grant_count) return true;
    if (!(task->grants = malloc(bytes))) return false;
    task->grants_bytes = bytes;
    char *texts = (char *)(task->grants + options->grant_count);
    for (size_t i = 0; i < options->grant_count; i++) {
        const struct bw_grant *grant = &options->grants[i];
        memcpy(texts, grant->name.ptr, grant->name.len);
        memcpy(texts + grant->name.len, grant->value.ptr, grant->value.len);
        task->grants[i] = (struct bw_grant){{texts, grant->name.len}, {texts + grant->name.len, grant->value.len}};
        texts += grant->name.len + grant->value.len;
    }
    options->grants = task->grants;
    return true;
}

/* Each task may take as much memory as there is for a state, also where it shares one: what a state has more of behind a task's turn is that task's.
 */
static size_t begin_turn(struct bw_task *task)
{
    struct bw_script *script = task->script;
    size_t limit = script->limits.memory_bytes;
    if (script->is_shared) script->memory.cap = script->memory.used + (limit > task->memory ? limit - task->memory : 0);
    script->task = task;
    return script->memory.used;
}

static void end_turn(struct bw_task *task, size_t before)
{
    struct bw_script *script = task->script;
    size_t had = task->memory + script->memory.used;
    task->memory = had > before ? had - before : 0; /* less than nothing: it has swept up behind others */
    script->task = NULL;
    bw_budget_end(script);
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
    if (!keep_grants(task)) {
        free(task);
        bw_error_set(err, "memory", "out of memory");
        return NULL;
    }
    snprintf(task->key, sizeof task->key, "%s", options->idempotency_key ? options->idempotency_key : "");
    place_of(task);
    bw_budget_begin_task(script, options->deadline_us);
    if (script->is_shared) script->runs++; /* else its run has been counted */
    size_t before = begin_turn(task);
    lua_State *L = script->L;
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, task);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) bw_lua_error(script, L, status, &task->place, "lua.error", err);
    end_turn(task, before);
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
    if (task->grants) explicit_bzero(task->grants, task->grants_bytes);
    free(task->grants);
    free(task);
}

/* ---- the end of it ---- */

struct ending {
    struct bw_task *task;
    bool is_failure;
};

/* The value that was raised: a failure made by ctx.fail, ctx.retry or a request that failed? */
static int read_raised(lua_State *L)
{
    struct ending *ending = lua_touserdata(L, 2);
    ending->is_failure = bw_api_is_failure(L, 1, &ending->task->failure);
    return 0;
}

/* The value that was returned: such a failure, or the step's output. What is no object becomes {"value": …}. */
static int read_returned(lua_State *L)
{
    struct ending *ending = lua_touserdata(L, 2);
    struct bw_task *task = ending->task;
    struct bw_buf *out = &task->output;
    if ((ending->is_failure = bw_api_is_failure(L, 1, &task->failure))) return 0;
    if (lua_isnil(L, 1)) {
        bw_buf_append_text(out, "{}");
    } else if (lua_istable(L, 1) && !bw_value_is_array(L, 1)) {
        bw_value_to_json(L, 1, out);
    } else {
        bw_buf_append_text(out, "{\"value\":");
        bw_value_to_json(L, 1, out);
        bw_buf_append_char(out, '}');
    }
    return out->failed ? luaL_error(L, "lua.memory: out of memory") : 0;
}

/* A bug is not tried again: the code would fail again. So would code that computed until its time was up; where it also waited for others, they may
 * have been slow. */
static enum bw_task_state fail(struct bw_task *task, lua_State *L, int status, const char *code)
{
    bool is_expired = bw_budget_sentinel(L, -1) == BW_SENTINEL_EXPIRED;
    task->failure.class = is_expired && task->has_waited ? BW_FAILURE_TIMEOUT : BW_FAILURE_BUG;
    task->failure.retry_after_ms = -1;
    bw_lua_error(task->script, L, status, &task->place, code, &task->failure.error);
    return BW_TASK_FAILED;
}

/* Runs read(value, ending) on the main thread, the value being on top of the coroutine. */
static int read_end(struct bw_task *task, lua_CFunction read, struct ending *ending)
{
    lua_State *L = task->script->L;
    lua_pushcfunction(L, read);
    lua_pushvalue(task->thread, -1);
    lua_xmove(task->thread, L, 1);
    lua_pushlightuserdata(L, ending);
    return lua_pcall(L, 2, 0, 0);
}

static enum bw_task_state end_failed(struct bw_task *task, int status)
{
    struct ending ending = {.task = task};
    if (status != LUA_ERRMEM && bw_budget_sentinel(task->thread, -1) == BW_SENTINEL_NONE && lua_checkstack(task->thread, 1)) {
        int read = read_end(task, read_raised, &ending);
        if (read != LUA_OK) return fail(task, task->script->L, read, "lua.error");
        if (ending.is_failure) {
            bw_error_at(&task->failure.error, task->place.file, task->place.line, task->place.column);
            return task->failure.class == BW_FAILURE_NONE ? BW_TASK_PENDING : BW_TASK_FAILED;
        }
    }
    return fail(task, task->thread, status, "lua.error");
}

static enum bw_task_state end_returned(struct bw_task *task, int results)
{
    struct ending ending = {.task = task};
    if (!lua_checkstack(task->thread, 2)) return fail(task, task->thread, LUA_ERRMEM, "lua.memory");
    if (!results)
        lua_pushnil(task->thread);
    else
        lua_pop(task->thread, results - 1); /* only the first one counts */
    int status = read_end(task, read_returned, &ending);
    if (status != LUA_OK) return fail(task, task->script->L, status, "output.invalid");
    if (!ending.is_failure && task->unused_failure) { /* it would have passed for a success */
        task->failure.class = BW_FAILURE_BUG;
        task->failure.retry_after_ms = -1;
        bw_error_set(&task->failure.error, "lua.error", "%s{…} was called, and its value was neither returned nor raised", task->unused_failure);
        bw_error_hint(&task->failure.error, "write: return %s{…}", task->unused_failure);
        bw_error_at(&task->failure.error, task->place.file, task->place.line, task->place.column);
        return BW_TASK_FAILED;
    }
    if (ending.is_failure) bw_error_at(&task->failure.error, task->place.file, task->place.line, task->place.column);
    if (ending.is_failure && task->failure.class == BW_FAILURE_NONE) return BW_TASK_PENDING;
    return ending.is_failure ? BW_TASK_FAILED : BW_TASK_DONE;
}

enum bw_task_state bw_task_resume(struct bw_task *task)
{
    struct bw_script *script = task->script;
    int results = 0, arguments = task->pending_args;
    enum bw_task_state state;
    task->pending_args = 0;
    task->is_waiting = false;
    bw_budget_install(task->thread);
    bw_budget_begin_task(script, task->options.deadline_us); /* the slice begins here */
    size_t before = begin_turn(task);
    script->memory.running = task->thread;
    int status = lua_resume(task->thread, script->L, arguments, &results);
    if (status == LUA_YIELD) {
        lua_pop(task->thread, results);
        bool is_first_wait = task->is_waiting && !task->has_waited;
        if (is_first_wait && !script->is_shared && script->memory.used > SWEPT_BYTES) lua_gc(script->L, LUA_GCCOLLECT);
        task->has_waited |= task->is_waiting;
        state = task->is_waiting ? BW_TASK_WAITS : BW_TASK_YIELDED;
    } else if (status == LUA_OK) {
        state = end_returned(task, results);
    } else {
        state = end_failed(task, status);
    }
    end_turn(task, before);
    return state;
}

const struct bw_task_request *bw_task_request(const struct bw_task *task)
{
    return &task->request;
}

static struct bw_slice keep_text(struct bw_buf *bytes, struct bw_slice text)
{
    struct bw_slice kept = {(const char *)bytes->len, text.len};
    bw_buf_append_slice(bytes, text);
    bw_buf_append_char(bytes, '\0');
    return kept;
}

bool bw_task_answer(struct bw_task *task, const struct bw_http_answer *answer)
{
    if (!answer) return true;
    bw_buf_clear(&task->answer_bytes);
    free(task->answer_headers);
    task->answer = *answer;
    task->answer_headers = calloc(answer->header_count + 1, sizeof *task->answer_headers);
    if (answer->error) task->failure.error = *answer->error; /* not the task's end: the place is free until then */
    task->answer.error = &task->failure.error;
    task->answer.body = keep_text(&task->answer_bytes, answer->body);
    for (size_t i = 0; task->answer_headers && i < answer->header_count; i++)
        task->answer_headers[i] = (struct bw_http_header){keep_text(&task->answer_bytes, answer->headers[i].name),
                                                          keep_text(&task->answer_bytes, answer->headers[i].value)};
    if (!task->answer_headers || task->answer_bytes.failed) {
        bw_error_set(&task->failure.error, "http.memory", "out of memory for the answer");
        task->answer = (struct bw_http_answer){.error = &task->failure.error, .transient = true};
        return false;
    }
    const char *base = task->answer_bytes.data;
    task->answer.body.ptr = base + (size_t)task->answer.body.ptr;
    for (size_t i = 0; i < answer->header_count; i++) {
        task->answer_headers[i].name.ptr = base + (size_t)task->answer_headers[i].name.ptr;
        task->answer_headers[i].value.ptr = base + (size_t)task->answer_headers[i].value.ptr;
    }
    task->answer.headers = task->answer_headers;
    return true;
}

struct bw_slice bw_task_output(const struct bw_task *task)
{
    return bw_buf_slice(&task->output);
}
int64_t bw_task_within_ms(const struct bw_task *task)
{
    return task->failure.retry_after_ms > 0 ? task->failure.retry_after_ms : 0;
}
const struct bw_task_failure *bw_task_failure(const struct bw_task *task)
{
    return &task->failure;
}
