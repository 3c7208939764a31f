/* The end of an attempt: its result or its failure, the retry or the end of the step. */
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES_BYTES_MAX (32u << 10) /* between two reports: a step may be tried again and again without one */

static const char *const class_names[] = {"bug", "permanent", "transient", "timeout", "input", "output", "lost"};

void bw_error_to_json(struct bw_buf *out, const struct bw_error *err, enum bw_error_class class, struct bw_slice step)
{
    bw_json_append_error(out, err, class_names[class], step);
}

/* ---- ends of a step ---- */

static void finish_step(struct bw_attempt *attempt, int state)
{
    struct bw_step_result *result = bw_attempt_result(attempt);
    struct bw_run *run = attempt->run;
    size_t step = attempt->step;
    bw_attempt_free(attempt);
    if (result->has_had_waits) bw_parts_end_waits(run, step);
    result->state = state;
    result->ended_ms = bw_clock_wall_ms();
    result->is_reported = false;
    bw_trace_step(run, step, "step_finished", 0);
    bw_run_step_ended(run, step);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct bw_attempt *attempt = arg;
    (void)fd, (void)what;
    attempt->wait = BW_WAIT_NONE;
    bool is_another_time = !bw_attempt_result(attempt)->attempt && bw_attempt_result(attempt)->iteration;
    if (is_another_time || !attempt->input.len)
        bw_step_begin(attempt); /* of a `repeat`: its key is another one, and may be in its inputs. Or it was parked: there are none */
    else
        bw_step_attempt(attempt);
}

static struct bw_retry retry_of(const struct bw_attempt *attempt)
{
    struct bw_retry retry = bw_attempt_step(attempt)->retry;
    if (bw_attempt_action(attempt)) bw_retry_fill(&retry, &bw_attempt_action(attempt)->retry);
    bw_retry_fill(&retry, &bw_retry_builtin);
    if (bw_attempt_worker(attempt)->trial) retry.jitter = 0;
    return retry;
}

/* -1: it stays failed */
static int64_t next_attempt_in_ms(struct bw_attempt *attempt, const struct bw_error *err, enum bw_error_class class, int64_t retry_after_ms)
{
    const struct bw_retry retry = retry_of(attempt);
    const struct bw_step_result *result = bw_attempt_result(attempt);
    bool is_transient = class == BW_CLASS_TRANSIENT || class == BW_CLASS_TIMEOUT;
    if (!attempt->may_retry || result->attempt >= (uint32_t)retry.attempts || !bw_retry_matches(&retry, is_transient, bw_slice_of(err->code)))
        return -1;
    int64_t delay_ms = bw_retry_delay_ms(&retry, result->attempt, retry_after_ms),
            elapsed_ms = bw_clock_wall_ms() - result->started_ms - result->queued_ms;
    return elapsed_ms > retry.max_elapsed_ms - delay_ms ? -1 : delay_ms;
}

int64_t bw_step_last_ms(const struct bw_attempt *attempt)
{
    const struct bw_retry retry = retry_of(attempt);
    const struct bw_step_result *result = bw_attempt_result(attempt);
    return retry.max_elapsed_ms < BW_WORKFLOW_WAIT_MAX_MS ? result->started_ms + result->queued_ms + retry.max_elapsed_ms : 0;
}

void bw_step_try_again(struct bw_attempt *attempt, int64_t delay_ms)
{
    if (delay_ms > BW_PARK_AFTER_MS) {
        bw_wait_for_retry(attempt, delay_ms);
        return;
    }
    if (delay_ms >= 1000) bw_report_run(attempt->run, false); /* so that `runs show` says why it takes so long; nobody waits for it */
    attempt->wait = BW_WAIT_RETRY;
    if (!bw_attempt_set_timer(attempt, on_retry, delay_ms)) exit(70); /* no memory: another worker goes on */
}

bool bw_step_waits_on(struct bw_attempt *attempt)
{
    struct bw_step_result *result = bw_attempt_result(attempt);
    if (result->state || !result->ended_ms) return false;
    const struct bw_retry retry = retry_of(attempt);
    int64_t delay_ms = result->attempt ? bw_retry_delay_ms(&retry, result->attempt, -1) : bw_attempt_step(attempt)->repeat.every_ms;
    int64_t left_ms = result->ended_ms + delay_ms - bw_clock_wall_ms();
    result->ended_ms = 0;
    if (left_ms <= 0) return false;
    result->state = BW_STATE_RETRYING;
    result->is_reported = true;
    attempt->wait = BW_WAIT_RETRY;
    if (!bw_attempt_set_timer(attempt, on_retry, left_ms < BW_PARK_AFTER_MS ? left_ms : BW_PARK_AFTER_MS)) exit(70);
    return true;
}

/* What a sensitive step says about its failure may hold what it would have given: its code stays, and where it happened. */
static const struct bw_error *shown_error(const struct bw_attempt *attempt, const struct bw_error *err, enum bw_error_class class,
                                          struct bw_error *instead)
{
    bool is_own = (attempt->may_retry && class != BW_CLASS_TIMEOUT && class != BW_CLASS_LOST) || class == BW_CLASS_OUTPUT;
    if (!bw_attempt_step(attempt)->is_sensitive || !is_own) return err;
    *instead = *err;
    snprintf(instead->message, sizeof instead->message, "it has failed; what it said is not shown, because the step is sensitive");
    *instead->hint = '\0';
    return instead;
}

/* What is tried again is remembered: the step's own error will be that of its last attempt. */
static void note_failure(const struct bw_attempt *attempt)
{
    struct bw_step_result *result = bw_attempt_result(attempt);
    if (result->failures.len > FAILURES_BYTES_MAX) return;
    bw_buf_printf(&result->failures, "%s{\"attempt\":%u,\"at_ms\":%lld", result->failures.len ? "," : "", result->attempt,
                  (long long)result->ended_ms);
    if (attempt->began_ms) bw_buf_printf(&result->failures, ",\"took_ms\":%lld", (long long)(result->ended_ms - attempt->began_ms));
    bw_buf_append_text(&result->failures, ",\"error\":");
    bw_buf_append_slice(&result->failures, bw_buf_slice(&result->error));
    bw_buf_append_char(&result->failures, '}');
}

void bw_step_fail(struct bw_attempt *attempt, const struct bw_error *err, enum bw_error_class class, int64_t retry_after_ms)
{
    struct bw_run *run = attempt->run;
    struct bw_step_result *result = bw_attempt_result(attempt);
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_error ignored, instead;
    err = shown_error(attempt, err, class, &instead);
    bool has_given_up = attempt->is_unwanted && !strcmp(err->code, BW_STEP_CANCELLED), is_unwanted = attempt->is_unwanted;
    bool is_unknown = bw_once_is_unknown(attempt, class) || (has_given_up && step->is_once && attempt->task && attempt->is_exposed);
    int64_t delay_ms = run->is_ending || is_unknown ? -1 : next_attempt_in_ms(attempt, err, class, retry_after_ms);
    if (attempt->permit && retry_after_ms > 0) bw_permit_release(attempt, retry_after_ms);
    bw_attempt_release(attempt);
    attempt->may_retry = false;
    bw_buf_clear(&result->output);
    bw_buf_clear(&result->error);
    bw_error_to_json(&result->error, err, class, step->path);
    if (delay_ms >= 0) {
        result->state = BW_STATE_RETRYING;
        result->ended_ms = bw_clock_wall_ms();
        result->is_reported = false;
        note_failure(attempt);
        bw_repeat_note(result);
        bw_trace_step(run, attempt->step, "step_retry", delay_ms);
        if (step->is_once && delay_ms < 1000) bw_report_run(run, false); /* else a crash would find it `started` */
        bw_step_try_again(attempt, delay_ms);
        return;
    }
    if (is_unknown) {
        bw_once_make_unknown(run, attempt->step, "the attempt has ended without a clear answer", err);
        finish_step(attempt, BW_STATE_UNKNOWN);
        bw_run_advance(run);
        return;
    }
    if (is_unwanted) {
        if (has_given_up) bw_buf_clear(&result->error);
        finish_step(attempt, BW_STATE_CANCELLED);
        bw_run_advance(run);
        return;
    }
    bool is_survived = step->goes_on || bw_step_is_caught(run->entry->workflow->steps, attempt->step);
    if (is_survived || run->entry->workflow->endings.mark >= 0)
        bw_script_set_step(bw_run_script(run), attempt->step, BW_STATUS_FAILED, (struct bw_slice){0}, bw_buf_slice(&result->error), &ignored);
    finish_step(attempt, BW_STATE_FAILED);
    bw_run_advance(run);
}

/* The attempt is given back: it has not begun, and its time does not count. */
void bw_step_wait_for_action(struct bw_attempt *attempt, const struct bw_error *err)
{
    struct bw_run *run = attempt->run;
    struct bw_step_result *result = bw_attempt_result(attempt);
    if (run->is_ending) {
        bw_step_fail(attempt, err, BW_CLASS_PERMANENT, -1);
        return;
    }
    bw_attempt_release(attempt);
    attempt->may_retry = attempt->is_called = attempt->is_exposed = false;
    bw_buf_clear(&result->output);
    bw_buf_clear(&result->error);
    bw_error_to_json(&result->error, err, BW_CLASS_TRANSIENT, bw_attempt_step(attempt)->path);
    result->attempt--;
    result->started_ms = 0;
    result->state = BW_STATE_RETRYING;
    result->ended_ms = bw_clock_wall_ms();
    result->is_reported = false;
    bw_repeat_note(result);
    bw_trace_step(run, attempt->step, "step_retry", BW_ACTION_AGAIN_MS);
    bw_wait_for_retry(attempt, BW_ACTION_AGAIN_MS);
}

void bw_step_succeed(struct bw_attempt *attempt, struct bw_slice raw)
{
    struct bw_run *run = attempt->run;
    struct bw_worker *worker = bw_attempt_worker(attempt);
    struct bw_step_result *result = bw_attempt_result(attempt);
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_buf shaped = {0};
    struct bw_error err;
    struct bw_slice output = raw;
    bool good = true;
    if (step->repeat.max && bw_step_repeats(attempt, raw)) return;
    if (step->outputs) {
        bw_note_enter_step(run, attempt->step, attempt->deadline_us);
        good = bw_script_render(bw_run_script_at(run, attempt->step), step->outputs, &(struct bw_render){.result = raw}, &shaped, &err);
        bw_note_leave(worker);
        output = bw_buf_slice(&shaped);
    }
    if (good && output.len > worker->max_output_bytes) {
        good = bw_error_set(&err, "output.too_large", "the output has %zu bytes, at most %zu are kept", output.len, worker->max_output_bytes);
        bw_error_hint(&err, "trim it: outputs: {NAME: \"${{ result.… }}\"}");
    }
    if (good && run->kept_bytes + output.len > worker->max_run_output_bytes) {
        good = bw_error_set(&err, "output.too_large", "the outputs of this run's steps have %zu bytes in all, at most %zu are kept",
                            run->kept_bytes + output.len, worker->max_run_output_bytes);
        bw_error_hint(&err, "keep only what later steps need: outputs: {NAME: \"${{ result.… }}\"}");
    }
    if (good) {
        bw_buf_clear(&result->output);
        bw_buf_clear(&result->error);
        if (bw_redact_append(&result->output, output))
            bw_step_log(attempt, "warn", BW_SLICE("its output held a secret, of which only the name is kept: later steps do not see the value"));
        good = bw_script_set_step(bw_run_script(run), attempt->step, BW_STATUS_SUCCEEDED, bw_buf_slice(&result->output), (struct bw_slice){0}, &err);
    }
    bw_buf_free(&shaped);
    if (!good) {
        bw_step_fail(attempt, &err, BW_CLASS_OUTPUT, -1);
        return;
    }
    run->kept_bytes += result->output.len;
    finish_step(attempt, BW_STATE_SUCCEEDED);
    bw_run_advance(run);
}

void bw_step_skip(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    struct bw_error ignored;
    bw_attempt_result(attempt)->started_ms = bw_clock_wall_ms();
    bw_attempt_result(attempt)->is_pure = true;
    bw_script_set_step(bw_run_script(run), attempt->step, BW_STATUS_SKIPPED, (struct bw_slice){0}, (struct bw_slice){0}, &ignored);
    finish_step(attempt, BW_STATE_SKIPPED);
    bw_run_advance(run);
}

/* One that waits for its next attempt has failed, one that is executing is cancelled, one that has not begun leaves no trace. */
void bw_step_cancel(struct bw_attempt *attempt)
{
    bool was_tried = bw_attempt_result(attempt)->state == BW_STATE_RETRYING;
    attempt->is_unwanted = true;
    if (bw_attempt_result(attempt)->state == BW_STATE_STARTED) {
        bool is_unknown = attempt->is_called && attempt->is_exposed;
        if (is_unknown) bw_once_make_unknown(attempt->run, attempt->step, "the run ended the step while it was under way", NULL);
        finish_step(attempt, is_unknown ? BW_STATE_UNKNOWN : BW_STATE_CANCELLED);
        return;
    }
    if (bw_attempt_result(attempt)->state == BW_STATE_WAITING) bw_buf_clear(&bw_attempt_result(attempt)->output); /* what an approval asks */
    bool is_failed = was_tried && bw_attempt_result(attempt)->error.len > 0;                                      /* else it was to be repeated */
    bool is_between = is_failed && (attempt->wait == BW_WAIT_RETRY || attempt->wait == BW_WAIT_DURABLE || attempt->wait == BW_WAIT_PERMIT);
    if (attempt->wait == BW_WAIT_COMMIT || (attempt->wait == BW_WAIT_PERMIT && !was_tried))
        bw_attempt_free(attempt);
    else
        finish_step(attempt, is_between ? BW_STATE_FAILED : BW_STATE_CANCELLED);
}

void bw_step_succeed_checked(struct bw_attempt *attempt, struct bw_slice output)
{
    const struct bw_action *action = bw_attempt_action(attempt);
    struct bw_error err;
    if (action && action->outputs) {
        json_t *value = bw_json_load(output, &err);
        bool good = value && bw_schema_check(action->outputs, value, true, "output", &err);
        json_decref(value);
        if (!good) {
            bw_step_fail(attempt, &err, BW_CLASS_OUTPUT, -1);
            return;
        }
    }
    bw_step_succeed(attempt, output);
}
