/* One step: condition, inputs, attempts, result. */
#include "base/clock.h"
#include "base/json_view.h"
#include "base/log.h"
#include "base/random.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const class_names[] = {"bug", "permanent", "transient", "timeout", "input", "output", "lost"};

static const struct bw_step *step_of(const struct bw_run *run)
{
    return &run->entry->workflow->steps[run->step];
}
static struct bw_step_result *result_of(struct bw_run *run)
{
    return &run->results[run->step];
}
static const struct bw_action *action_of(const struct bw_run *run)
{
    return run->entry->actions[run->step];
}

static void attempt(struct bw_run *run);

void bw_error_to_json(struct bw_buf *out, const struct bw_error *err, enum bw_error_class class, struct bw_slice step)
{
    struct bw_buf message = {0};
    bw_redact_append(&message, bw_slice_of(err->message));
    bw_buf_append_text(out, "{\"code\":");
    bw_buf_append_json_string(out, bw_slice_of(err->code));
    bw_buf_append_text(out, ",\"message\":");
    bw_buf_append_json_string(out, bw_buf_slice(&message));
    bw_buf_printf(out, ",\"class\":\"%s\"", class_names[class]);
    if (*err->hint) {
        bw_buf_append_text(out, ",\"hint\":");
        bw_buf_append_json_string(out, bw_slice_of(err->hint));
    }
    if (*err->file) {
        bw_buf_append_text(out, ",\"file\":");
        bw_buf_append_json_string(out, bw_slice_of(err->file));
    }
    if (err->line) bw_buf_printf(out, ",\"line\":%d", err->line);
    if (err->column) bw_buf_printf(out, ",\"column\":%d", err->column);
    if (step.len) {
        bw_buf_append_text(out, ",\"step\":");
        bw_buf_append_json_string(out, step);
    }
    bw_buf_append_char(out, '}');
    bw_buf_free(&message);
}

/* semantics.md 2.5: delay 2 s, factor 5, at most 15 m, jitter 0.5; what the other side asked for (at most 1 h) is the minimum. */
int64_t bw_retry_delay_ms(uint32_t failed, int64_t retry_after_ms)
{
    double delay = 2000;
    if (retry_after_ms > 3600000) retry_after_ms = 3600000;
    if (retry_after_ms == 0) return 0; /* asked for: at once */
    for (uint32_t i = 1; i < failed && delay < 900000; i++) delay *= 5;
    if (delay > 900000) delay = 900000;
    delay *= 1 - 0.5 * bw_random_unit();
    return delay < (double)retry_after_ms ? retry_after_ms : (int64_t)delay;
}

/* ---- ends of a step ---- */

void bw_step_release(struct bw_run *run)
{
    struct bw_worker *worker = run->event->worker;
    if (run->wait == BW_WAIT_PLUGIN) {
        char head[48];
        int len = snprintf(head, sizeof head, "{\"call\":%lld}", (long long)run->call);
        bw_channel_send(worker->channel, BW_MSG_CALL_CANCEL, (struct bw_slice){head, (size_t)len}, NULL, 0);
        TAILQ_REMOVE(&worker->called, run, link);
    }
    if (run->wait == BW_WAIT_SLICE) TAILQ_REMOVE(&worker->ready, run, link);
    if (run->wait == BW_WAIT_COMMIT) TAILQ_REMOVE(&worker->unacknowledged, run, link);
    run->wait = BW_WAIT_NONE;
    if (run->http_call) bw_http_abort(run->http_call);
    run->http_call = NULL;
    bw_task_free(run->task);
    run->task = NULL;
    if (run->timer) event_del(run->timer);
}

static void finish_step(struct bw_run *run, int state)
{
    struct bw_step_result *result = result_of(run);
    result->state = state;
    result->ended_ms = bw_clock_wall_ms();
    result->is_reported = false;
    bw_trace_step(run, "step_finished", 0);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct bw_run *run = arg;
    (void)fd, (void)what;
    run->wait = BW_WAIT_NONE;
    attempt(run);
}

static bool set_timer(struct bw_run *run, event_callback_fn callback, int64_t delay_ms)
{
    if (run->timer) event_free(run->timer);
    run->timer = event_new(run->event->worker->base, -1, 0, callback, run);
    if (delay_ms < 0) delay_ms = 0;
    return run->timer && !event_add(run->timer, &(struct timeval){.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000});
}

void bw_step_fail(struct bw_run *run, const struct bw_error *err, enum bw_error_class class, int64_t retry_after_ms)
{
    struct bw_step_result *result = result_of(run);
    const struct bw_action *action = action_of(run);
    unsigned attempts = action ? action->attempts : 6;
    bool may_pass = class == BW_CLASS_TRANSIENT || class == BW_CLASS_TIMEOUT;
    bw_step_release(run);
    bw_buf_clear(&result->output);
    bw_buf_clear(&result->error);
    bw_error_to_json(&result->error, err, class, step_of(run)->id);
    if (may_pass && result->attempt < attempts) {
        int64_t delay_ms = bw_retry_delay_ms(result->attempt, retry_after_ms);
        result->state = BW_STATE_RETRYING;
        result->ended_ms = bw_clock_wall_ms();
        result->is_reported = false;
        bw_trace_step(run, "step_retry", delay_ms);
        if (delay_ms >= 1000) bw_report_run(run, false); /* so that `runs show` says why it takes so long; nobody waits for it */
        run->wait = BW_WAIT_RETRY;
        if (set_timer(run, on_retry, delay_ms)) return;
    }
    finish_step(run, BW_STATE_FAILED);
    bw_run_advance(run);
}

static void succeed(struct bw_run *run, struct bw_slice raw)
{
    struct bw_step_result *result = result_of(run);
    const struct bw_step *step = step_of(run);
    struct bw_buf shaped = {0};
    struct bw_error err;
    struct bw_slice output = raw;
    bool good = true;
    if (step->outputs) {
        bw_note_enter(run);
        good = bw_script_render(run->script, step->outputs, &(struct bw_render){.result = raw}, &shaped, &err);
        bw_note_leave(run->event->worker);
        output = bw_buf_slice(&shaped);
    }
    if (good && output.len > run->event->worker->max_output_bytes) {
        good = bw_error_set(&err, "output.too_large", "the output has %zu bytes, at most %zu are kept", output.len,
                            run->event->worker->max_output_bytes);
        bw_error_hint(&err, "trim it: outputs: {NAME: \"${{ result.… }}\"}");
    }
    if (good && run->kept_bytes + output.len > BW_RUN_OUTPUT_BYTES_MAX) {
        good = bw_error_set(&err, "output.too_large", "the outputs of this run's steps have %zu bytes in all, at most %u are kept",
                            run->kept_bytes + output.len, BW_RUN_OUTPUT_BYTES_MAX);
        bw_error_hint(&err, "keep only what later steps need: outputs: {NAME: \"${{ result.… }}\"}");
    }
    if (good) {
        bw_buf_clear(&result->output);
        bw_buf_clear(&result->error);
        bw_redact_append(&result->output, output);
        good = bw_script_set_step(run->script, run->step, BW_STATUS_SUCCEEDED, bw_buf_slice(&result->output), (struct bw_slice){0}, &err);
    }
    bw_buf_free(&shaped);
    if (!good) {
        bw_step_fail(run, &err, BW_CLASS_OUTPUT, -1);
        return;
    }
    run->kept_bytes += result->output.len;
    bw_step_release(run);
    finish_step(run, BW_STATE_SUCCEEDED);
    bw_run_advance(run);
}

static void skip(struct bw_run *run)
{
    struct bw_error err;
    result_of(run)->started_ms = bw_clock_wall_ms();
    result_of(run)->is_pure = true;
    bw_script_set_step(run->script, run->step, BW_STATUS_SKIPPED, (struct bw_slice){0}, (struct bw_slice){0}, &err);
    finish_step(run, BW_STATE_SKIPPED);
    bw_run_advance(run);
}

/* An action's output against what it promised. */
static void succeed_checked(struct bw_run *run, struct bw_slice output)
{
    const struct bw_action *action = action_of(run);
    struct bw_error err;
    if (action && action->outputs) {
        json_t *value = bw_json_load(output, &err);
        bool good = value && bw_schema_check(action->outputs, value, true, "output", &err);
        json_decref(value);
        if (!good) {
            bw_step_fail(run, &err, BW_CLASS_OUTPUT, -1);
            return;
        }
    }
    succeed(run, output);
}

/* ---- Lua ---- */

static void on_log(void *arg, const char *level, struct bw_slice text)
{
    struct bw_run *run = arg;
    struct bw_buf head = {0};
    bw_buf_printf(&head, "{\"level\":\"%s\",\"run\":\"%s\",\"workflow\":\"%s\",\"step\":\"%s\",\"message\":", level, run->uid_text,
                  run->entry->workflow->name.ptr, step_of(run)->id.ptr);
    bw_buf_append_json_string(&head, (struct bw_slice){text.ptr, text.len < 4096 ? text.len : 4096});
    bw_buf_append_char(&head, '}');
    /* A flood of lines must not fill the memory of the engine: what it cannot take now is dropped. */
    if (!head.failed && bw_channel_unsent(run->event->worker->channel) < 1 << 20)
        bw_channel_send(run->event->worker->channel, BW_MSG_LOG, bw_buf_slice(&head), NULL, 0);
    bw_buf_free(&head);
}

static const struct bw_slice *secret_value(const struct bw_worker *worker, struct bw_slice name)
{
    return bw_map_get(worker->secrets, name);
}

/* What the step may see: the workflow's secrets; an action only those that it declares. Returns the count. */
static size_t collect_grants(const struct bw_run *run, bool only_declared, struct bw_grant *grants, size_t capacity)
{
    const struct bw_workflow *workflow = run->entry->workflow;
    const struct bw_action *action = action_of(run);
    size_t count = 0;
    for (size_t i = 0; i < workflow->secret_count && count < capacity; i++) {
        const struct bw_slice *value = secret_value(run->event->worker, workflow->secrets[i]);
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

static void on_http_done(const struct bw_http_answer *answer, void *arg)
{
    struct bw_run *run = arg;
    run->http_call = NULL; /* it frees itself */
    bw_task_answer(run->task, answer);
    bw_run_ready(run);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct bw_run *run = arg;
    struct bw_error err;
    (void)fd, (void)what;
    bw_error_set(&err, "step.timeout", "the attempt took longer than its step may");
    bw_error_hint(&err, "give the step a longer `timeout`, if it needs one");
    bw_step_fail(run, &err, BW_CLASS_TIMEOUT, -1);
}

static void on_slept(evutil_socket_t fd, short what, void *arg)
{
    struct bw_run *run = arg;
    (void)fd, (void)what;
    set_timer(run, on_timeout, (run->deadline_us - bw_clock_mono_us()) / 1000);
    bw_run_ready(run);
}

static void begin_request(struct bw_run *run)
{
    const struct bw_task_request *request = bw_task_request(run->task);
    int64_t left_ms = (run->deadline_us - bw_clock_mono_us()) / 1000;
    struct bw_error err;
    if (request->kind == BW_REQUEST_SLEEP) {
        if (request->sleep_ms < left_ms) {
            run->wait = BW_WAIT_SLEEP;
            set_timer(run, on_slept, request->sleep_ms);
        } /* else the attempt's deadline comes first */
        return;
    }
    int64_t timeout_ms = left_ms + 100; /* the step's own timeout speaks first */
    if (request->timeout_ms && request->timeout_ms < timeout_ms) timeout_ms = request->timeout_ms;
    run->wait = BW_WAIT_HTTP;
    if ((run->http_call = bw_http_start(run->event->worker->http, request, timeout_ms, on_http_done, run, &err))) return;
    bw_task_answer(run->task, &(struct bw_http_answer){.error = &err, .transient = true});
    bw_run_ready(run);
}

void bw_step_continue(struct bw_run *run)
{
    run->wait = BW_WAIT_NONE;
    bw_note_enter(run);
    enum bw_task_state state = bw_task_resume(run->task);
    bw_note_leave(run->event->worker);
    switch (state) {
    case BW_TASK_YIELDED: bw_run_ready(run); break;
    case BW_TASK_WAITS: begin_request(run); break;
    case BW_TASK_DONE: succeed_checked(run, bw_task_output(run->task)); break;
    case BW_TASK_FAILED: {
        struct bw_task_failure failure = *bw_task_failure(run->task);
        bw_step_fail(run, &failure.error, class_of(failure.class), failure.retry_after_ms);
        break;
    }
    }
}

static void start_lua(struct bw_run *run, const char *key)
{
    struct bw_grant grants[64];
    struct bw_error err;
    const struct bw_task_options options = {
        .step = run->step,
        .input = bw_buf_slice(&run->input),
        .idempotency_key = key,
        .attempt = result_of(run)->attempt,
        .grants = grants,
        .grant_count = collect_grants(run, true, grants, 64),
        .deadline_us = run->deadline_us,
        .services = {.arg = run, .log = on_log},
    };
    bw_note_enter(run);
    run->task = bw_task_new(run->script, &options, &err);
    bw_note_leave(run->event->worker);
    if (!run->task)
        bw_step_fail(run, &err, BW_CLASS_BUG, -1);
    else
        bw_step_continue(run);
}

/* ---- plugins ---- */

static void start_plugin(struct bw_run *run, const char *key, int64_t timeout_ms)
{
    struct bw_worker *worker = run->event->worker;
    const struct bw_action *action = action_of(run);
    struct bw_slice input = bw_buf_slice(&run->input);
    struct bw_buf head = {0};
    run->call = ++worker->next_call;
    bw_buf_printf(&head,
                  "{\"call\":%lld,\"action\":\"%s@%u\",\"run\":\"%s\",\"step\":\"%s\",\"attempt\":%u,\"key\":\"%s\",\"timeout_ms\":%lld,\"input_"
                  "part\":0,\"secrets\":[",
                  (long long)run->call, action->name, action->major, run->uid_text, step_of(run)->id.ptr, result_of(run)->attempt, key,
                  (long long)timeout_ms);
    for (size_t i = 0; i < action->secret_count; i++) {
        if (i) bw_buf_append_char(&head, ',');
        bw_buf_append_json_string(&head, bw_slice_of(action->secrets[i]));
    }
    bw_buf_append_text(&head, "]}");
    run->wait = BW_WAIT_PLUGIN;
    TAILQ_INSERT_TAIL(&worker->called, run, link);
    if (head.failed || !bw_channel_send(worker->channel, BW_MSG_CALL, bw_buf_slice(&head), &input, 1)) exit(70);
    bw_buf_free(&head);
}

void bw_step_plugin_result(struct bw_run *run, const struct bw_message *message)
{
    const char *outcome = bw_json_str(message->head, "outcome", "fail");
    int64_t part = bw_json_int(message->head, "output_part", -1);
    struct bw_error err;
    TAILQ_REMOVE(&run->event->worker->called, run, link);
    run->wait = BW_WAIT_NONE;
    if (!strcmp(outcome, "ok")) {
        struct bw_slice output = part >= 0 && (size_t)part < message->part_count ? message->parts[part] : BW_SLICE("{}");
        json_t *value = bw_json_load(output, &err); /* a plugin's word is not taken for it */
        bool is_object = json_is_object(value);
        json_decref(value);
        if (is_object) {
            succeed_checked(run, output);
            return;
        }
        if (value) bw_error_set(&err, "output.invalid", "the plugin's output is no JSON object");
        memcpy(err.code, "output.invalid", sizeof "output.invalid");
        bw_step_fail(run, &err, BW_CLASS_OUTPUT, -1);
        return;
    }
    const json_t *error = json_object_get(message->head, "error");
    bw_error_set(&err, bw_json_str(error, "code", "plugin.failed"), "%s", bw_json_str(error, "message", "the plugin gave no reason"));
    bw_error_hint(&err, "%s", bw_json_str(error, "hint", ""));
    bw_step_fail(run, &err, !strcmp(outcome, "retry") ? BW_CLASS_TRANSIENT : BW_CLASS_PERMANENT, bw_json_int(error, "retry_after_ms", -1));
}

/* ---- beginning ---- */

static int64_t timeout_of(const struct bw_run *run)
{
    const struct bw_action *action = action_of(run);
    if (step_of(run)->timeout_ms) return step_of(run)->timeout_ms;
    return action && action->timeout_ms ? action->timeout_ms : BW_STEP_TIMEOUT_MS;
}

static void attempt(struct bw_run *run)
{
    struct bw_step_result *result = result_of(run);
    char key[BW_IDEMPOTENCY_KEY_TEXT];
    int64_t timeout_ms = timeout_of(run);
    result->attempt++;
    if (!result->started_ms) result->started_ms = bw_clock_wall_ms();
    run->deadline_us = bw_clock_mono_us() + timeout_ms * 1000;
    bw_idempotency_key(run->uid, step_of(run)->id.ptr, 0, key);
    bw_trace_step(run, "step_started", 0);
    if (action_of(run) || strstr(step_of(run)->lua.ptr, "ctx"))
        set_timer(run, on_timeout, timeout_ms); /* pure code cannot wait: its own clock is enough */
    if (step_of(run)->kind == BW_STEP_LUA || run->entry->lua_actions[run->step])
        start_lua(run, key);
    else
        start_plugin(run, key, timeout_ms);
}

static void note_input_names(struct bw_run *run)
{
    const struct bw_template *with = step_of(run)->with;
    struct bw_buf *names = &result_of(run)->input_names;
    bw_buf_clear(names);
    bw_buf_append_char(names, '[');
    struct bw_json_iter iter = bw_json_view_iter(bw_json_view_of(bw_buf_slice(&run->input)));
    struct bw_slice key;
    struct bw_json_view value;
    for (size_t i = 0; with && bw_json_iter_next(&iter, &key, &value); i++) {
        if (i) bw_buf_append_char(names, ',');
        bw_buf_append_slice(names, key);
    }
    bw_buf_append_char(names, ']');
}

/* Inputs are rendered and checked once, before the first attempt: what is wrong with them stays wrong. */
static bool prepare_input(struct bw_run *run, struct bw_error *err, enum bw_error_class *class)
{
    const struct bw_step *step = step_of(run);
    const struct bw_action *action = action_of(run);
    struct bw_grant grants[64];
    const struct bw_render render = {.grants = grants, .grant_count = collect_grants(run, false, grants, 64), .allow_secrets = true};
    bool good = true;
    bw_buf_clear(&run->input);
    *class = BW_CLASS_BUG;
    if (step->with) {
        bw_note_enter(run);
        good = bw_script_render(run->script, step->with, &render, &run->input, err);
        bw_note_leave(run->event->worker);
    } else {
        bw_buf_append_text(&run->input, "{}");
    }
    if (good && run->input.len > BW_INPUT_BYTES_MAX) {
        *class = BW_CLASS_INPUT;
        good =
            bw_error_set(err, "input.too_large", "the inputs of the step have %zu bytes, at most %u are allowed", run->input.len, BW_INPUT_BYTES_MAX);
        bw_error_at(err, run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
    }
    if (good) note_input_names(run);
    if (good && action && action->inputs) {
        *class = BW_CLASS_INPUT;
        json_t *input = bw_json_load(bw_buf_slice(&run->input), err);
        good = input && bw_schema_check(action->inputs, input, false, "input", err);
        if (good) {
            bw_buf_clear(&run->input);
            bw_json_append(&run->input, input);
        } else {
            bw_error_at(err, run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
        }
        json_decref(input);
    }
    return good;
}

static const json_t *entry_for(const struct bw_run *run, const char *list)
{
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(run->event->head, list), index, entry)
    {
        if (!strcmp(bw_json_str(entry, "run", ""), run->uid_text) && bw_slice_is(step_of(run)->id, bw_json_str(entry, "path", ""))) return entry;
    }
    return NULL;
}

/* The engine ended a worker over this step, or it took its worker with it again and again. */
static bool is_condemned(struct bw_run *run, struct bw_error *err, enum bw_error_class *class)
{
    const json_t *verdict = entry_for(run, "verdicts"), *lost = entry_for(run, "lost");
    if (verdict) {
        const json_t *error = json_object_get(verdict, "error");
        bw_error_set(err, bw_json_str(error, "code", "lua.timeout"), "%s", bw_json_str(error, "message", ""));
        bw_error_hint(err, "%s", bw_json_str(error, "hint", ""));
        *class = BW_CLASS_BUG;
        return true;
    }
    run->lost = (uint32_t)bw_json_int(lost, "count", run->lost);
    if (bw_json_int(lost, "count", 0) <= BW_LOST_MAX) return false;
    bw_error_set(err, "worker_lost", "this step ended its worker process %lld times", (long long)bw_json_int(lost, "count", 0));
    bw_error_hint(err, "the engine's log says how the workers ended (worker.lost)");
    *class = BW_CLASS_LOST;
    return true;
}

/* Effects wait until what they depend on is on disk (semantics.md 2.3). Pure results are recomputed to the same value: they need not be. */
static bool must_wait_for_disk(const struct bw_run *run)
{
    for (size_t i = 0; i < run->step; i++)
        if (run->results[i].state == BW_STATE_SUCCEEDED && !run->results[i].is_reported && !run->results[i].is_pure) return true;
    return false;
}

static bool has_effect(const struct bw_run *run)
{
    const struct bw_step *step = step_of(run);
    if (step->kind == BW_STEP_SET) return false;
    if (step->kind == BW_STEP_LUA) return strstr(step->lua.ptr, "ctx") != NULL;
    return action_of(run)->has_effect;
}

static bool is_pure(const struct bw_run *run)
{
    const struct bw_step *step = step_of(run);
    if (step->kind == BW_STEP_SET) return true;
    if (step->kind == BW_STEP_LUA) return !strstr(step->lua.ptr, "ctx") && !strstr(step->lua.ptr, "random");
    return !strcmp(bw_json_str(action_of(run)->manifest, "effect", "write"), "none");
}

void bw_step_begin(struct bw_run *run)
{
    struct bw_worker *worker = run->event->worker;
    struct bw_step_result *result = result_of(run);
    const struct bw_step *step = step_of(run);
    enum bw_error_class class = BW_CLASS_BUG;
    struct bw_error err;
    bool answer = true;

    run->deadline_us = 0;
    if (run->event->head && is_condemned(run, &err, &class)) {
        result->attempt++;
        result->started_ms = bw_clock_wall_ms();
        bw_step_fail(run, &err, class, -1);
        return;
    }
    if (step->condition >= 0) {
        bw_note_enter(run);
        bool good = bw_script_condition(run->script, (uint32_t)step->condition, &answer, &err);
        bw_note_leave(worker);
        if (!good) {
            result->started_ms = bw_clock_wall_ms();
            bw_step_fail(run, &err, BW_CLASS_BUG, -1);
            return;
        }
    }
    if (!answer) {
        skip(run);
        return;
    }
    result->is_pure = is_pure(run);
    if (has_effect(run) && must_wait_for_disk(run)) {
        run->report = bw_report_run(run, true);
        run->wait = BW_WAIT_COMMIT;
        TAILQ_INSERT_TAIL(&worker->unacknowledged, run, link);
        return; /* bw_step_begin() again when it is on disk */
    }
    if (step->kind == BW_STEP_SET) {
        struct bw_buf output = {0};
        result->attempt = 1;
        result->started_ms = bw_clock_wall_ms();
        bw_trace_step(run, "step_started", 0);
        bw_note_enter(run);
        bool good = bw_script_render(run->script, step->set, &(struct bw_render){0}, &output, &err);
        bw_note_leave(worker);
        if (good)
            succeed(run, bw_buf_slice(&output));
        else
            bw_step_fail(run, &err, BW_CLASS_BUG, -1);
        bw_buf_free(&output);
        return;
    }
    if (!prepare_input(run, &err, &class)) {
        result->started_ms = bw_clock_wall_ms();
        bw_step_fail(run, &err, class, -1);
        return;
    }
    attempt(run);
}
