/* What an attempt executes: a Lua coroutine in slices, or a call to a plugin's host. */
#include "base/clock.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_log(void *arg, const char *level, struct bw_slice text)
{
    struct bw_attempt *attempt = arg;
    struct bw_buf head = {0};
    bw_buf_printf(&head, "{\"level\":\"%s\",\"run\":\"%s\",\"workflow\":\"%s\",\"step\":\"%s\",\"message\":", level, attempt->run->uid_text,
                  attempt->run->entry->workflow->name.ptr, bw_attempt_step(attempt)->path.ptr);
    if (bw_attempt_step(attempt)->is_sensitive) text = BW_SLICE("(not shown: the step is sensitive)");
    bw_buf_append_json_string(&head, (struct bw_slice){text.ptr, text.len < 4096 ? text.len : 4096});
    bw_buf_append_char(&head, '}');
    /* A flood of lines must not fill the memory of the engine: what it cannot take now is dropped. */
    if (!head.failed && bw_channel_unsent(bw_attempt_worker(attempt)->channel) < 1 << 20)
        bw_channel_send(bw_attempt_worker(attempt)->channel, BW_MSG_LOG, bw_buf_slice(&head), NULL, 0);
    bw_buf_free(&head);
}

static bool is_cancelled(void *attempt)
{
    return ((const struct bw_attempt *)attempt)->is_unwanted;
}

static void on_heartbeat(void *attempt)
{
    bw_heartbeat_note(attempt);
}

static bool on_callback_url(void *attempt, struct bw_buf *out)
{
    return bw_callback_url(attempt, out);
}

static const struct bw_slice *secret_value(const struct bw_worker *worker, struct bw_slice name)
{
    return bw_map_get(worker->secrets, name);
}

size_t bw_step_grants(const struct bw_attempt *attempt, bool only_declared, struct bw_grant *grants, size_t capacity)
{
    const struct bw_workflow *workflow = attempt->run->entry->workflow;
    const struct bw_action *action = bw_attempt_action(attempt);
    size_t count = 0;
    for (size_t i = 0; i < workflow->secret_count && count < capacity; i++) {
        const struct bw_slice *value = secret_value(bw_attempt_worker(attempt), workflow->secrets[i]);
        bool is_declared = !only_declared || !action;
        for (size_t k = 0; action && k < action->secret_count; k++)
            is_declared = is_declared || bw_slice_is(workflow->secrets[i], action->secrets[k]);
        if (value && is_declared) grants[count++] = (struct bw_grant){workflow->secrets[i], *value};
    }
    return count;
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

/* Who has read the request and gives no answer, or one that it has broken down over it, may have done what it says. */
static void on_http_done(const struct bw_http_answer *answer, void *arg)
{
    struct bw_attempt *attempt = arg;
    bool can_change = may_change(bw_task_request(attempt->task));
    bool is_doubtful = !answer->status ? answer->was_sent : answer->status >= 500 && answer->status != 501 && answer->status != 503;
    attempt->http_call = NULL; /* it frees itself */
    if (!bw_task_answer(attempt->task, answer)) is_doubtful = true;
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

static void begin_request(struct bw_attempt *attempt)
{
    const struct bw_task_request *request = bw_task_request(attempt->task);
    int64_t left_ms = bw_attempt_left_ms(attempt);
    struct bw_error err;
    if (request->kind == BW_REQUEST_SLEEP) {
        attempt->wait = BW_WAIT_SLEEP;
        if (request->sleep_ms < left_ms) bw_attempt_set_timer(attempt, on_slept, request->sleep_ms); /* else the attempt's deadline comes first */
        return;
    }
    int64_t timeout_ms = left_ms + 100; /* the step's own timeout speaks first */
    if (request->timeout_ms && request->timeout_ms < timeout_ms) timeout_ms = request->timeout_ms;
    if (bw_attempt_worker(attempt)->trial) {
        bw_trial_network_error(attempt, request, &err);
        bw_task_answer(attempt->task, &(struct bw_http_answer){.error = &err});
        bw_attempt_ready(attempt);
        return;
    }
    attempt->wait = BW_WAIT_HTTP;
    bool is_once = bw_attempt_step(attempt)->is_once;
    if (may_change(request)) attempt->is_exposed = true;
    if ((attempt->http_call = bw_http_start(bw_attempt_worker(attempt)->http, request, timeout_ms, is_once, on_http_done, attempt, &err))) return;
    bw_task_answer(attempt->task, &(struct bw_http_answer){.error = &err, .transient = true});
    bw_attempt_ready(attempt);
}

void bw_step_break_off(struct bw_attempt *attempt)
{
    struct bw_error err;
    if (attempt->wait == BW_WAIT_HTTP) {
        bw_http_abort(attempt->http_call);
        attempt->http_call = NULL;
        attempt->is_doubtful |= may_change(bw_task_request(attempt->task));
        bw_error_set(&err, BW_STEP_CANCELLED, "the request was broken off, because the step is not wanted any more");
        bw_task_answer(attempt->task, &(struct bw_http_answer){.error = &err});
    }
    if (attempt->wait == BW_WAIT_HTTP || attempt->wait == BW_WAIT_SLEEP) bw_attempt_ready(attempt);
}

void bw_step_continue(struct bw_attempt *attempt)
{
    attempt->wait = BW_WAIT_NONE;
    bw_note_enter_step(attempt->run, attempt->step, attempt->deadline_us);
    enum bw_task_state state = bw_task_resume(attempt->task);
    bw_note_leave(bw_attempt_worker(attempt));
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

void bw_step_start_lua(struct bw_attempt *attempt, const char *key)
{
    struct bw_grant grants[64];
    struct bw_error err;
    const struct bw_task_options options = {
        .step = attempt->step,
        .input = bw_buf_slice(&attempt->input),
        .idempotency_key = key,
        .attempt = bw_attempt_result(attempt)->attempt,
        .grants = grants,
        .grant_count = bw_step_grants(attempt, true, grants, 64),
        .deadline_us = attempt->deadline_us,
        .services = {.arg = attempt, .log = on_log, .cancelled = is_cancelled, .heartbeat = on_heartbeat, .callback_url = on_callback_url},
    };
    bw_note_enter_step(attempt->run, attempt->step, attempt->deadline_us);
    attempt->task = bw_task_new(attempt->run->script, &options, &err);
    bw_note_leave(bw_attempt_worker(attempt));
    if (!attempt->task)
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
    else
        bw_step_continue(attempt);
}

/* ---- plugins ---- */

void bw_step_start_plugin(struct bw_attempt *attempt, const char *key, int64_t timeout_ms)
{
    struct bw_worker *worker = bw_attempt_worker(attempt);
    const struct bw_action *action = bw_attempt_action(attempt);
    struct bw_slice input = bw_buf_slice(&attempt->input);
    struct bw_buf head = {0}, url = {0};
    attempt->call = ++worker->next_call;
    bw_buf_printf(
        &head,
        "{\"call\":%lld,\"action\":\"%s@%u\",\"run\":\"%s\",\"step\":\"%s\",\"attempt\":%u,\"key\":\"%s\",\"timeout_ms\":%lld,\"heartbeat_ms\":%lld,"
        "\"once\":%s,\"input_part\":0,\"secrets\":[",
        (long long)attempt->call, action->name, action->major, attempt->run->uid_text, bw_attempt_step(attempt)->path.ptr,
        bw_attempt_result(attempt)->attempt, key, (long long)timeout_ms, (long long)attempt->heartbeat_ms,
        bw_attempt_step(attempt)->is_once ? "true" : "false");
    for (size_t i = 0; i < action->secret_count; i++) {
        if (i) bw_buf_append_char(&head, ',');
        bw_buf_append_json_string(&head, bw_slice_of(action->secrets[i]));
    }
    bw_buf_append_char(&head, ']');
    if (bw_callback_url(attempt, &url)) {
        bw_buf_append_text(&head, ",\"callback_url\":");
        bw_buf_append_json_string(&head, bw_buf_slice(&url));
    }
    bw_buf_free(&url);
    bw_buf_append_char(&head, '}');
    attempt->wait = BW_WAIT_PLUGIN;
    attempt->is_exposed = true;
    TAILQ_INSERT_TAIL(&worker->called, attempt, link);
    if (head.failed || !bw_channel_send(worker->channel, BW_MSG_CALL, bw_buf_slice(&head), &input, 1)) exit(70);
    bw_buf_free(&head);
}

void bw_step_plugin_result(struct bw_attempt *attempt, const struct bw_message *message)
{
    const char *outcome = bw_json_str(message->head, "outcome", "fail");
    int64_t part = bw_json_int(message->head, "output_part", -1);
    struct bw_error err;
    TAILQ_REMOVE(&bw_attempt_worker(attempt)->called, attempt, link);
    attempt->wait = BW_WAIT_NONE;
    if (!strcmp(outcome, "ok")) {
        struct bw_slice output = part >= 0 && (size_t)part < message->part_count ? message->parts[part] : BW_SLICE("{}");
        json_t *value = bw_json_load(output, &err); /* a plugin's word is not taken for it */
        bool is_object = json_is_object(value);
        json_decref(value);
        if (is_object) {
            bw_step_succeed_checked(attempt, output);
            return;
        }
        if (value) bw_error_set(&err, "output.invalid", "the plugin's output is no JSON object");
        memcpy(err.code, "output.invalid", sizeof "output.invalid");
        bw_step_fail(attempt, &err, BW_CLASS_OUTPUT, -1);
        return;
    }
    if (!strcmp(outcome, "pending")) {
        bw_pending_begin(attempt, bw_json_int(message->head, "within_ms", 0));
        return;
    }
    const json_t *error = json_object_get(message->head, "error");
    attempt->is_doubtful = bw_json_bool(message->head, "doubtful", false);
    bw_error_set(&err, bw_json_str(error, "code", "plugin.failed"), "%s", bw_json_str(error, "message", "the plugin gave no reason"));
    bw_error_hint(&err, "%s", bw_json_str(error, "hint", ""));
    if (!strcmp(outcome, "missing"))
        bw_step_wait_for_action(attempt, &err);
    else
        bw_step_fail(attempt, &err, !strcmp(outcome, "retry") ? BW_CLASS_TRANSIENT : BW_CLASS_PERMANENT, bw_json_int(error, "retry_after_ms", -1));
}
