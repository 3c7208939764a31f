/* `cancel_on`: the run waits, beside its steps, for events that cancel it. The waiting is the row of a step (BW_CANCEL_ON_PATH), registered with the
 * run's first report, so that an event finds it whoever has the run then: it is told to the worker, or found by the next one. */
#include "base/clock.h"
#include "wire/messages.h"
#include "worker/internal.h"
#include <string.h>

static struct bw_step_result *result_of(struct bw_run *run)
{
    int32_t index = run->entry->workflow->cancel_on;
    return index < 0 || bw_run_is_item(run) ? NULL : &run->results[index]; /* items end with the run that they are of */
}

/* In the store with the next report. `behind`: events up to this one do not count. */
static bool wait_for_it(struct bw_run *run, int64_t behind, struct bw_error *err)
{
    struct bw_step_result *result = result_of(run);
    if (!bw_wait_make_keys(run, (size_t)run->entry->workflow->cancel_on, err)) return false;
    result->since_event = behind;
    result->state = BW_STATE_WAITING;
    result->is_reported = false;
    result->is_pure = true; /* no effect waits for it */
    run->owes_report = true;
    return true;
}

/* *cancels: that event does. False: it cannot be told. */
static bool look_at(struct bw_run *run, const json_t *wake, bool *cancels, struct bw_error *err)
{
    const json_t *event = json_object_get(wake, "event");
    struct bw_buf output = {0};
    int64_t id = bw_json_int(event, "id", 0);
    bool good = bw_wait_look_at(run, (size_t)run->entry->workflow->cancel_on, wake, &output, cancels, err);
    if (good && *cancels)
        bw_error_set(err, "run.cancelled", "the run was cancelled by %s, event %s", bw_json_str(event, "name", ""), bw_json_str(event, "uid", ""));
    else if (good)
        good = wait_for_it(run, id, err);
    bw_buf_free(&output);
    return good;
}

bool bw_cancel_on_begin(struct bw_run *run, bool *cancels, struct bw_error *err)
{
    struct bw_step_result *result = result_of(run);
    struct bw_uid uid = bw_uid_of_run(run->event->uid, run->entry->workflow->name);
    *cancels = false;
    if (!result || run->outcome || result->state >= BW_STATE_SUCCEEDED) return true;
    if (result->state == BW_STATE_WAITING && result->wake) {
        const json_t *wake = result->wake;
        result->wake = NULL;
        return look_at(run, wake, cancels, err);
    }
    if (result->state == BW_STATE_WAITING) return true;
    result->attempt = 1;
    result->started_ms = bw_clock_wall_ms();
    /* As old as the run; what came before somebody resumed or replayed it was known to them. */
    result->since_ms = run->resumed_ms ? run->resumed_ms : bw_uid_equal(uid, run->uid) ? 0 : run->started_ms;
    run->must_listen = run->event->is_resumed;
    return wait_for_it(run, run->event->id, err);
}

void bw_cancel_on_end(struct bw_run *run)
{
    struct bw_step_result *result = result_of(run);
    if (!result || result->state != BW_STATE_WAITING) return;
    result->state = BW_STATE_CANCELLED;
    result->ended_ms = bw_clock_wall_ms();
    result->is_reported = false;
    result->is_pure = true;
}

void bw_cancel_on_take(struct bw_worker *worker, const struct bw_message *message)
{
    json_t *wake = json_object_get(message->head, "wake"), *event = json_object_get(wake, "event");
    struct bw_slice body = bw_message_part_or(message, message->head, "body_part", BW_SLICE(""));
    struct bw_run *run;
    TAILQ_FOREACH(run, &worker->runs, link)
    {
        if (strcmp(run->uid_text, bw_json_str(message->head, "run", "")) != 0) continue;
        struct bw_step_result *result = result_of(run);
        struct bw_error err;
        bool cancels = false;
        if (!result || run->outcome || run->cancelled.len || result->state != BW_STATE_WAITING || bw_json_int(event, "id", 0) <= result->since_event)
            return;
        json_object_set_new(event, "body_text", json_stringn_nocheck(body.ptr, body.len));
        if (!look_at(run, wake, &cancels, &err))
            bw_run_fail(run, &err);
        else if (cancels)
            bw_run_cancel(run, &err);
        else
            bw_run_advance(run); /* it waits on */
        return;
    }
}
