/* The end of an attempt: its result or its failure, the retry or the end of the step. */
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "worker/internal.h"
#include <stdio.h>
#include <string.h>

static const char *const class_names[] = {"bug", "permanent", "transient", "timeout", "input", "output", "lost"};

void bw_error_to_json(struct bw_buf *out, const struct bw_error *err, enum bw_error_class class, struct bw_slice step)
{
    bw_json_append_error(out, err, class_names[class], step);
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
    struct bw_step_result *result = bw_run_result(run);
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
    bw_step_attempt(run);
}

bool bw_run_set_timer(struct bw_run *run, event_callback_fn callback, int64_t delay_ms)
{
    if (run->timer) event_free(run->timer);
    run->timer = event_new(run->event->worker->base, -1, 0, callback, run);
    if (delay_ms < 0) delay_ms = 0;
    return run->timer && !event_add(run->timer, &(struct timeval){.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000});
}

static struct bw_retry retry_of(const struct bw_run *run)
{
    struct bw_retry retry = bw_run_step(run)->retry;
    if (bw_run_action(run)) bw_retry_fill(&retry, &bw_run_action(run)->retry);
    bw_retry_fill(&retry, &bw_retry_builtin);
    return retry;
}

/* -1: it stays failed */
static int64_t next_attempt_in_ms(struct bw_run *run, const struct bw_error *err, enum bw_error_class class, int64_t retry_after_ms)
{
    const struct bw_retry retry = retry_of(run);
    const struct bw_step_result *result = bw_run_result(run);
    bool is_transient = class == BW_CLASS_TRANSIENT || class == BW_CLASS_TIMEOUT;
    if (!run->may_retry || result->attempt >= (uint32_t)retry.attempts || !bw_retry_matches(&retry, is_transient, bw_slice_of(err->code))) return -1;
    int64_t delay_ms = bw_retry_delay_ms(&retry, result->attempt, retry_after_ms), elapsed_ms = bw_clock_wall_ms() - result->started_ms;
    return elapsed_ms > retry.max_elapsed_ms - delay_ms ? -1 : delay_ms;
}

void bw_step_fail(struct bw_run *run, const struct bw_error *err, enum bw_error_class class, int64_t retry_after_ms)
{
    struct bw_step_result *result = bw_run_result(run);
    struct bw_error ignored;
    int64_t delay_ms = next_attempt_in_ms(run, err, class, retry_after_ms);
    bw_step_release(run);
    run->may_retry = false;
    bw_buf_clear(&result->output);
    bw_buf_clear(&result->error);
    bw_error_to_json(&result->error, err, class, bw_run_step(run)->id);
    if (delay_ms >= 0) {
        result->state = BW_STATE_RETRYING;
        result->ended_ms = bw_clock_wall_ms();
        result->is_reported = false;
        bw_trace_step(run, "step_retry", delay_ms);
        if (delay_ms >= 1000) bw_report_run(run, false); /* so that `runs show` says why it takes so long; nobody waits for it */
        run->wait = BW_WAIT_RETRY;
        if (bw_run_set_timer(run, on_retry, delay_ms)) return;
    }
    if (bw_run_step(run)->goes_on)
        bw_script_set_step(run->script, run->step, BW_STATUS_FAILED, (struct bw_slice){0}, bw_buf_slice(&result->error), &ignored);
    finish_step(run, BW_STATE_FAILED);
    bw_run_advance(run);
}

void bw_step_succeed(struct bw_run *run, struct bw_slice raw)
{
    struct bw_step_result *result = bw_run_result(run);
    const struct bw_step *step = bw_run_step(run);
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

void bw_step_skip(struct bw_run *run)
{
    struct bw_error err;
    bw_run_result(run)->started_ms = bw_clock_wall_ms();
    bw_run_result(run)->is_pure = true;
    bw_script_set_step(run->script, run->step, BW_STATUS_SKIPPED, (struct bw_slice){0}, (struct bw_slice){0}, &err);
    finish_step(run, BW_STATE_SKIPPED);
    bw_run_advance(run);
}

void bw_step_succeed_checked(struct bw_run *run, struct bw_slice output)
{
    const struct bw_action *action = bw_run_action(run);
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
    bw_step_succeed(run, output);
}
