/* A step whose code has said that somebody else will post its result (ctx.pending, BW_PLUGIN_PENDING). It waits like an approval: the row says what
 * is promised, so that the engine can check an answer without the workflow, and the answer comes back as what wakes the run. */
#include "base/clock.h"
#include "base/units.h"
#include "worker/internal.h"

bool bw_callback_url(const struct bw_attempt *attempt, struct bw_buf *out)
{
    const struct bw_worker *worker = bw_attempt_worker(attempt);
    const struct bw_step_result *result = bw_attempt_result(attempt);
    const struct bw_callback_turn turn = {result->iteration, result->attempt, result->started_ms};
    if (!worker->has_approval_key) return false;
    bw_buf_append_text(out, worker->public_url ? worker->public_url : "");
    bw_buf_append_text(out, BW_CALLBACK_PATH);
    return bw_callback_token_append(out, worker->approval_key, attempt->run->uid, bw_attempt_step(attempt)->path, &turn,
                                    bw_run_deadline_ms(attempt->run));
}

/* {callback, iteration, outputs?}: an iteration is what tells such a row from an approval's. */
static void describe(struct bw_attempt *attempt)
{
    struct bw_step_result *result = bw_attempt_result(attempt);
    const struct bw_action *action = bw_attempt_action(attempt);
    bw_buf_clear(&result->output);
    bw_buf_clear(&result->error);
    bw_buf_printf(&result->output, "{\"callback\":true,\"iteration\":%u", result->iteration);
    if (action && action->outputs) {
        bw_buf_append_text(&result->output, ",\"outputs\":");
        bw_json_append(&result->output, json_object_get(action->manifest, "outputs"));
    }
    bw_buf_append_char(&result->output, '}');
}

void bw_pending_begin(struct bw_attempt *attempt, int64_t within_ms)
{
    struct bw_run *run = attempt->run;
    struct bw_step_result *result = bw_attempt_result(attempt);
    int64_t now_ms = bw_clock_wall_ms(), due_ms = bw_run_deadline_ms(run), last_ms = bw_step_last_ms(attempt);
    struct bw_error err;
    if (bw_attempt_worker(attempt)->trial) {
        bw_error_set(&err, "test.pending", "the step waits for a callback, which a test cannot post");
        bw_error_hint(&err, "mock the step: what would be posted is its output");
        bw_step_fail(attempt, &err, BW_CLASS_PERMANENT, -1);
        return;
    }
    if (run->is_ending) { /* nothing new begins */
        bw_step_cancel(attempt);
        bw_run_advance(run);
        return;
    }
    bw_attempt_release(attempt);
    describe(attempt);
    result->state = BW_STATE_WAITING;
    result->is_reported = false;
    run->owes_report = true; /* from now on it may be posted, also while other steps are at work */
    if (within_ms > 0 && within_ms < due_ms - now_ms) due_ms = now_ms + within_ms;
    bw_wait_hold(attempt, last_ms && last_ms < due_ms ? last_ms : due_ms);
}

/* It is an attempt like others again, that has come to its end. */
static void take_up(struct bw_attempt *attempt)
{
    bw_attempt_result(attempt)->due_ms = 0;
    attempt->may_retry = attempt->is_called = attempt->is_exposed = true;
}

void bw_pending_answered(struct bw_attempt *attempt, const json_t *wake)
{
    const json_t *form = json_object_get(wake, "form");
    struct bw_buf output = {0};
    struct bw_error err;
    take_up(attempt);
    if (bw_slice_is(bw_json_slice(json_object_get(wake, "choice")), "output")) {
        bw_json_append(&output, form);
        bw_step_succeed_checked(attempt, bw_buf_slice(&output));
        bw_buf_free(&output);
        return;
    }
    bw_error_set(&err, bw_json_str(form, "code", "callback.failed"), "%s", bw_json_str(form, "message", "whoever was to do it has failed"));
    bw_step_fail(attempt, &err, bw_json_bool(form, "retry", false) ? BW_CLASS_TRANSIENT : BW_CLASS_PERMANENT, -1);
}

void bw_pending_timed_out(struct bw_attempt *attempt)
{
    struct bw_error err;
    take_up(attempt);
    bw_error_set(&err, "callback.timeout", "nobody has posted the result in time");
    bw_error_hint(&err, "look whether the other side was given the link, or give it longer: ctx.pending{within = \"2h\"}, or the step's max_elapsed");
    bw_step_fail(attempt, &err, BW_CLASS_TIMEOUT, -1);
}
