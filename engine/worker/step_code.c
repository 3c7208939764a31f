/* What an attempt executes if it is Lua: a coroutine, in slices. */
#include "base/clock.h"
#include "base/units.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bw_step_log(struct bw_attempt *attempt, const char *level, struct bw_slice text)
{
    struct bw_buf head = {0};
    bw_buf_printf(&head, "{\"level\":\"%s\",\"run\":\"%s\",\"workflow\":\"%s\",\"step\":\"%s\",\"message\":", level, attempt->run->uid_text,
                  attempt->run->entry->workflow->name.ptr, bw_attempt_step(attempt)->path.ptr);
    bw_buf_append_json_string(&head, (struct bw_slice){text.ptr, text.len < 4096 ? text.len : 4096});
    bw_buf_append_char(&head, '}');
    /* A flood of lines must not fill the memory of the engine: what it cannot take now is dropped. */
    if (!head.failed && bw_channel_unsent(bw_attempt_worker(attempt)->channel) < 1 << 20)
        bw_channel_send(bw_attempt_worker(attempt)->channel, BW_MSG_LOG, bw_buf_slice(&head), NULL, 0);
    bw_buf_free(&head);
}

static void on_log(void *arg, const char *level, struct bw_slice text)
{
    struct bw_attempt *attempt = arg;
    bw_step_log(attempt, level, bw_attempt_step(attempt)->is_sensitive ? BW_SLICE("(not shown: the step is sensitive)") : text);
}

static bool is_cancelled(void *attempt)
{
    return ((const struct bw_attempt *)attempt)->is_unwanted;
}

static void on_heartbeat(void *attempt)
{
    bw_heartbeat_note(attempt);
}

/* Only `bellwire run` watches, and it misses nothing that matters when it cannot keep up. */
static void on_progress(void *arg, struct bw_slice text)
{
    struct bw_attempt *attempt = arg;
    const struct bw_worker *worker = bw_attempt_worker(attempt);
    if (!worker->trace || bw_attempt_step(attempt)->is_sensitive || bw_channel_unsent(worker->channel) > 1 << 16) return;
    bw_trace_progress(attempt->run, attempt->step, text);
}

static bool on_callback_url(void *attempt, struct bw_buf *out)
{
    return bw_callback_url(attempt, out);
}

static enum bw_error_class class_of(enum bw_failure_class class)
{
    static const enum bw_error_class classes[] = {[BW_FAILURE_BUG] = BW_CLASS_BUG,
                                                  [BW_FAILURE_PERMANENT] = BW_CLASS_PERMANENT,
                                                  [BW_FAILURE_TRANSIENT] = BW_CLASS_TRANSIENT,
                                                  [BW_FAILURE_TIMEOUT] = BW_CLASS_TIMEOUT};
    return classes[class];
}

static bool may_change(const struct bw_task_request *request)
{
    return !bw_slice_is(request->method, "GET") && !bw_slice_is(request->method, "HEAD") && !bw_slice_is(request->method, "OPTIONS");
}

struct bw_task *bw_step_running(const struct bw_attempt *attempt)
{
    return attempt->inner && attempt->inner->task ? attempt->inner->task : attempt->task;
}

/* Who has read the request and gives no answer, or one that it has broken down over it, may have done what it says. */
static void on_http_done(const struct bw_http_answer *answer, void *arg)
{
    struct bw_attempt *attempt = arg;
    bool can_change = may_change(bw_task_request(bw_step_running(attempt)));
    bool is_doubtful = !answer->status ? answer->was_sent : answer->status >= 500 && answer->status != 501 && answer->status != 503;
    if (bw_task_request(bw_step_running(attempt))->is_stream && answer->status) {
        attempt->stream = attempt->http_call;
        attempt->stream_may_change = can_change;
    }
    attempt->http_call = NULL; /* it frees itself, or is a stream */
    if (!bw_task_answer(bw_step_running(attempt), answer)) is_doubtful = true;
    attempt->is_doubtful |= is_doubtful && can_change;
    bw_attempt_ready(attempt);
}

void bw_step_on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct bw_attempt *attempt = arg;
    struct bw_error err;
    (void)fd, (void)what;
    bw_error_set(&err, "step.timeout", "the attempt took longer than its step may");
    bw_error_hint(&err, "give the step a longer `timeout`, if it needs one");
    bw_step_fail(attempt, &err, BW_CLASS_TIMEOUT, -1);
}

static void on_slept(evutil_socket_t fd, short what, void *arg)
{
    struct bw_attempt *attempt = arg;
    (void)fd, (void)what;
    bw_attempt_set_timer(attempt, bw_step_on_timeout, bw_attempt_left_ms(attempt));
    bw_attempt_ready(attempt);
}

/* ---- an answer that is read as it comes ---- */

static void read_on(struct bw_attempt *attempt)
{
    bw_attempt_set_timer(attempt, bw_step_on_timeout, bw_attempt_left_ms(attempt));
    bw_attempt_ready(attempt);
}

static void on_http_more(void *arg)
{
    struct bw_attempt *attempt = arg;
    if (attempt->wait == BW_WAIT_READ) read_on(attempt);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
    struct bw_attempt *attempt = arg;
    struct bw_error err;
    char text[32];
    (void)fd, (void)what;
    bw_error_set(&err, "http.timeout", "nothing has come of the answer for %s",
                 bw_duration_text(bw_task_request(bw_step_running(attempt))->timeout_ms, text));
    bw_http_fail(attempt->stream, &err, true);
    read_on(attempt);
}

static void begin_read(struct bw_attempt *attempt)
{
    int64_t idle_ms = bw_task_request(bw_step_running(attempt))->timeout_ms;
    attempt->wait = BW_WAIT_READ;
    if (idle_ms && idle_ms < bw_attempt_left_ms(attempt)) bw_attempt_set_timer(attempt, on_idle, idle_ms);
}

static enum bw_stream_state on_read(void *arg, struct bw_buf *out, struct bw_error *err, bool *is_transient)
{
    struct bw_attempt *attempt = arg;
    if (!attempt->stream) return BW_STREAM_END;
    enum bw_stream_state state = bw_http_read(attempt->stream, out, err, is_transient);
    if (state == BW_STREAM_FAILED) attempt->is_doubtful |= attempt->stream_may_change;
    return state;
}

static void on_close(void *arg)
{
    struct bw_attempt *attempt = arg;
    if (attempt->stream) bw_http_abort(attempt->stream);
    attempt->stream = NULL;
}

static void on_usage(void *attempt, int64_t id, struct bw_slice said)
{
    bw_meter_end(attempt, id, said);
}

static enum bw_part_state on_part(void *attempt, struct bw_slice name, struct bw_buf *output, struct bw_buf *error)
{
    int state = bw_parts_find(attempt, name, output, error);
    return state == BW_STATE_SUCCEEDED ? BW_PART_DONE : state ? BW_PART_FAILED : BW_PART_NONE;
}

static bool on_offer(void *attempt, struct bw_slice uses, struct bw_slice input, struct bw_buf *manifest, struct bw_error *err)
{
    return bw_parts_offer(attempt, uses, input, manifest, err);
}

static bool on_link(void *arg, struct bw_slice name, struct bw_slice actor, struct bw_buf *out)
{
    struct bw_attempt *attempt = arg;
    char path[BW_PART_PATH_BYTES];
    bw_parts_path(attempt, name, path);
    return bw_approval_url(attempt->run, bw_slice_of(path), actor, out);
}

static enum bw_cache_state on_cache_find(void *attempt, struct bw_slice name, struct bw_buf *value)
{
    return bw_cache_find(attempt, name, value);
}

static void on_cache_put(void *attempt, struct bw_slice name, struct bw_slice value, int64_t life_ms)
{
    bw_cache_put(attempt, name, value, life_ms);
}

static void on_cache_drop(void *attempt, struct bw_slice name, struct bw_slice value)
{
    bw_cache_drop(attempt, name, value);
}

static void begin_request(struct bw_attempt *attempt)
{
    const struct bw_task_request *request = bw_task_request(bw_step_running(attempt));
    int64_t left_ms = bw_attempt_left_ms(attempt);
    struct bw_error err;
    if (request->kind == BW_REQUEST_SLEEP) {
        attempt->wait = BW_WAIT_SLEEP;
        if (request->sleep_ms < left_ms) bw_attempt_set_timer(attempt, on_slept, request->sleep_ms); /* else the attempt's deadline comes first */
        return;
    }
    if (request->kind == BW_REQUEST_READ) {
        begin_read(attempt);
        return;
    }
    if (request->kind == BW_REQUEST_CACHE) {
        bw_cache_wait(attempt, request->method);
        return;
    }
    if (request->kind == BW_REQUEST_KEEP) {
        bw_parts_keep(attempt, request->method, request->body);
        return;
    }
    if (request->kind == BW_REQUEST_ACT) {
        bw_parts_run(attempt, request->method, request->url, request->body);
        return;
    }
    if (request->kind == BW_REQUEST_CALL) {
        bw_parts_call_all(attempt, request->body);
        return;
    }
    if (request->kind == BW_REQUEST_ASK) {
        bw_parts_ask(attempt, request->body);
        return;
    }
    if (request->kind == BW_REQUEST_USAGE) {
        bw_meter_begin(attempt, request->body);
        return;
    }
    int64_t timeout_ms = left_ms + 100; /* the step's own timeout speaks first */
    if (request->timeout_ms && request->timeout_ms < timeout_ms) timeout_ms = request->timeout_ms;
    if (bw_attempt_worker(attempt)->trial) {
        bw_trial_network_error(attempt, request, &err);
        bw_task_answer(bw_step_running(attempt), &(struct bw_http_answer){.error = &err});
        bw_attempt_ready(attempt);
        return;
    }
    attempt->wait = BW_WAIT_HTTP;
    bool is_once = bw_attempt_step(attempt)->is_once;
    if ((attempt->http_call =
             bw_http_start(bw_attempt_worker(attempt)->http, request, timeout_ms, is_once, on_http_done, on_http_more, attempt, &err))) {
        attempt->is_exposed |= may_change(request);
        return;
    }
    bw_task_answer(bw_step_running(attempt), &(struct bw_http_answer){.error = &err, .transient = true});
    bw_attempt_ready(attempt);
}

void bw_step_break_off(struct bw_attempt *attempt)
{
    struct bw_error err;
    if (attempt->wait == BW_WAIT_HTTP) {
        bw_http_abort(attempt->http_call);
        attempt->http_call = NULL;
        attempt->is_doubtful |= may_change(bw_task_request(bw_step_running(attempt)));
        bw_error_set(&err, BW_STEP_CANCELLED, "the request was broken off, because the step is not wanted any more");
        bw_task_answer(bw_step_running(attempt), &(struct bw_http_answer){.error = &err});
    }
    if (attempt->wait == BW_WAIT_READ) {
        bw_error_set(&err, BW_STEP_CANCELLED, "the answer was broken off, because the step is not wanted any more");
        bw_http_fail(attempt->stream, &err, false);
    }
    if (attempt->wait == BW_WAIT_USAGE) {
        bw_meter_forget(attempt);
        bw_error_set(&err, BW_STEP_CANCELLED, "the call is not made, because the step is not wanted any more");
        bw_task_answer(bw_step_running(attempt), &(struct bw_http_answer){.error = &err});
    }
    if (attempt->wait == BW_WAIT_CACHE) {
        bw_cache_leave(attempt);
        attempt->wait = BW_WAIT_SLEEP; /* over: the code is told when it looks again */
    }
    if (attempt->wait == BW_WAIT_HTTP || attempt->wait == BW_WAIT_READ || attempt->wait == BW_WAIT_SLEEP || attempt->wait == BW_WAIT_USAGE)
        bw_attempt_ready(attempt);
}

static void end_inner(struct bw_attempt *attempt, enum bw_task_state state)
{
    struct bw_slice output = bw_task_output(attempt->inner->task);
    struct bw_task_failure failure = *bw_task_failure(attempt->inner->task);
    if (state == BW_TASK_PENDING) {
        bw_error_set(&failure.error, "part.pending", "an action whose result is posted later cannot be a part of a step");
        failure.class = BW_FAILURE_PERMANENT;
    }
    if (attempt->stream) on_close(attempt);
    bw_cache_release(attempt);
    bw_parts_ended(attempt, state == BW_TASK_DONE ? &output : NULL, &failure.error, class_of(failure.class));
}

void bw_step_continue(struct bw_attempt *attempt)
{
    attempt->wait = BW_WAIT_NONE;
    bw_note_enter_step(attempt->run, attempt->step, attempt->deadline_us);
    enum bw_task_state state = bw_task_resume(bw_step_running(attempt));
    bw_note_leave(bw_attempt_worker(attempt));
    if (attempt->inner && state != BW_TASK_YIELDED && state != BW_TASK_WAITS) {
        end_inner(attempt, state);
        return;
    }
    switch (state) {
    case BW_TASK_YIELDED: bw_attempt_ready(attempt); break;
    case BW_TASK_WAITS: begin_request(attempt); break;
    case BW_TASK_PENDING: bw_pending_begin(attempt, bw_task_within_ms(attempt->task)); break;
    case BW_TASK_DONE: bw_step_succeed_checked(attempt, bw_task_output(attempt->task)); break;
    case BW_TASK_FAILED: {
        struct bw_task_failure failure = *bw_task_failure(attempt->task);
        bw_step_fail(attempt, &failure.error, class_of(failure.class), failure.retry_after_ms);
        break;
    }
    }
}

/* The state that the code is executed in. NULL: err says why there is none. */
static struct bw_script *state_for(struct bw_run *run, const struct bw_action *action, struct bw_shared_script **shared, struct bw_error *err)
{
    if (!bw_package_is_shared(action ? action->package : NULL)) return bw_run_script(run);
    *shared = bw_shared_script_join(run->event->worker, action->package, err);
    return *shared ? bw_shared_script_state(*shared) : NULL;
}

void bw_step_free_task(struct bw_run *run, struct bw_task **task, struct bw_shared_script **shared)
{
    if (!*task) return;
    bw_task_free(*task);
    if (*shared)
        bw_shared_script_leave(*shared);
    else
        bw_run_script_is_left(run);
    *task = NULL;
    *shared = NULL;
}

/* NULL: err says why not. */
static struct bw_task *new_task(struct bw_attempt *attempt, const struct bw_action *action, const struct bw_inner *inner, const char *key,
                                struct bw_shared_script **shared, struct bw_error *err)
{
    const struct bw_package *package = action ? action->package : NULL;
    struct bw_task *task = NULL;
    size_t grant_count = 0;
    struct bw_grant *grants = bw_step_all_grants(attempt, action, &grant_count);
    bool is_faulty = package && package->fault.code[0];
    bw_error_set(err, "memory", "out of memory");
    if (is_faulty) *err = package->fault;
    const struct bw_task_options options = {
        .step = attempt->step,
        .action = inner || bw_package_is_shared(package) ? action : NULL,
        .input = bw_buf_slice(inner ? &inner->input : &attempt->input),
        .idempotency_key = key,
        .attempt = bw_attempt_result(attempt)->attempt,
        .grants = grants,
        .grant_count = grant_count,
        .config = package ? bw_buf_slice(&package->config) : (struct bw_slice){0},
        .deadline_us = attempt->deadline_us,
        .services = {.arg = attempt,
                     .log = on_log,
                     .cancelled = is_cancelled,
                     .heartbeat = on_heartbeat,
                     .progress = on_progress,
                     .callback_url = inner ? NULL : on_callback_url,
                     .read = on_read,
                     .close = on_close,
                     .usage = on_usage,
                     .cache_find = package ? on_cache_find : NULL,
                     .cache_put = on_cache_put,
                     .cache_drop = on_cache_drop,
                     .part = inner ? NULL : on_part,
                     .link = on_link,
                     .offer = on_offer},
    };
    bw_note_enter_step(attempt->run, attempt->step, attempt->deadline_us);
    struct bw_script *script = grants && !is_faulty ? state_for(attempt->run, action, shared, err) : NULL;
    if (script) task = bw_task_new(script, &options, err);
    if (task && !*shared) bw_run_script_is_used(attempt->run);
    if (!task) {
        bw_shared_script_leave(*shared);
        *shared = NULL;
    }
    bw_note_leave(bw_attempt_worker(attempt));
    free(grants);
    return task;
}

void bw_step_start_lua(struct bw_attempt *attempt, const char *key)
{
    struct bw_error err;
    if ((attempt->task = new_task(attempt, bw_attempt_action(attempt), NULL, key, &attempt->shared, &err)))
        bw_step_continue(attempt);
    else
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
}

void bw_step_start_inner(struct bw_attempt *attempt, const char *key)
{
    struct bw_inner *inner = attempt->inner;
    struct bw_error err;
    if ((inner->task = new_task(attempt, inner->action, inner, key, &inner->shared, &err)))
        bw_attempt_ready(attempt);
    else
        bw_parts_ended(attempt, NULL, &err, BW_CLASS_BUG);
}
