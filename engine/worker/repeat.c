/* `repeat`: a step that is run again and again until something is so. Each iteration has its own idempotency key and its own attempts; which one it
 * is lies in the step's row, so that a crash or a park goes on with it. */
#include "base/clock.h"
#include "worker/internal.h"

void bw_repeat_note(struct bw_step_result *result)
{
    if (result->iteration) bw_buf_printf(&result->output, "{\"iteration\":%u}", result->iteration);
}

void bw_repeat_restore(struct bw_step_result *result, struct bw_slice output)
{
    json_t *value = output.len ? bw_json_load(output, NULL) : NULL;
    result->iteration = (uint32_t)bw_json_int(value, "iteration", 0);
    json_decref(value);
}

bool bw_step_repeats(struct bw_attempt *attempt, struct bw_slice raw)
{
    struct bw_run *run = attempt->run;
    struct bw_step_result *result = bw_attempt_result(attempt);
    const struct bw_step *step = bw_attempt_step(attempt);
    const struct bw_repeat *repeat = &step->repeat;
    struct bw_error err;
    bool is_last = false;
    bw_note_enter_step(run, attempt->step, attempt->deadline_us);
    bool good = bw_script_condition_of(bw_run_script_at(run, attempt->step), (uint32_t)repeat->until, raw, &is_last, &err);
    bw_note_leave(run->event->worker);
    if (good && is_last) return false;
    attempt->may_retry = false;
    if (!good) {
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
        return true;
    }
    if (run->is_ending) { /* nothing new begins */
        bw_attempt_release(attempt);
        bw_buf_clear(&result->error);
        bw_step_cancel(attempt);
        bw_run_advance(run);
        return true;
    }
    if (result->iteration + 1 >= repeat->max) {
        bw_error_set(&err, "repeat.exhausted", "after %u times it is still not so", repeat->max);
        bw_error_hint(&err, "give `repeat` a greater max, or look at what the step gives");
        bw_error_at(&err, run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
        bw_step_fail(attempt, &err, BW_CLASS_PERMANENT, -1);
        return true;
    }
    bw_attempt_release(attempt);
    result->iteration++;
    result->attempt = 0;
    result->state = BW_STATE_RETRYING;
    result->ended_ms = bw_clock_wall_ms();
    result->is_reported = false;
    bw_buf_clear(&result->output);
    bw_buf_clear(&result->error);
    bw_repeat_note(result);
    bw_trace_step(run, attempt->step, "step_retry", repeat->every_ms);
    bw_step_try_again(attempt, repeat->every_ms);
    return true;
}
