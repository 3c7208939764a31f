/* A run: its beginning and its end. Recorded steps are not run again; their outputs are what they were. */
#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

static const json_t *recorded_run(const struct bw_worker_event *event, struct bw_uid uid)
{
    char text[BW_UID_TEXT];
    size_t index;
    json_t *run;
    bw_uid_text(uid, BW_UID_RUN, text);
    json_array_foreach(json_object_get(event->head, "runs"), index, run) if (!strcmp(bw_json_str(run, "uid", ""), text)) return run;
    return NULL;
}

bool bw_run_is_recorded_done(const struct bw_worker_event *event, struct bw_uid uid)
{
    const json_t *run = recorded_run(event, uid);
    int64_t state = bw_json_int(run, "state", 0);
    return state >= BW_STATE_SUCCEEDED ||
           (!event->is_resumed && (state == BW_STATE_PARKED || state == BW_STATE_BLOCKED || state == BW_STATE_DELAYED || state == BW_STATE_HELD ||
                                   bw_json_bool(run, "woken", false)));
}

static int64_t timeout_of(const struct bw_run *run)
{
    int64_t timeout_ms = run->entry->workflow->timeout_ms;
    return timeout_ms ? timeout_ms : BW_WORKFLOW_TIMEOUT_MS;
}

int64_t bw_run_deadline_ms(const struct bw_run *run)
{
    int64_t from_ms = run->outcome ? run->outcome_ms : run->resumed_ms ? run->resumed_ms : run->started_ms;
    return from_ms + timeout_of(run);
}

static void run_free(struct bw_run *run)
{
    while (!TAILQ_EMPTY(&run->attempts)) bw_attempt_free(TAILQ_FIRST(&run->attempts));
    for (size_t i = 0; run->results && i < run->entry->workflow->step_count; i++) {
        bw_buf_free(&run->results[i].input_names);
        bw_buf_free(&run->results[i].output);
        bw_buf_free(&run->results[i].error);
        bw_buf_free(&run->results[i].failures);
        bw_buf_free(&run->results[i].calls);
        free(run->results[i].keys);
        bw_join_free(run->results[i].join);
        json_decref(run->results[i].emits);
        json_decref(run->results[i].respond);
    }
    TAILQ_REMOVE(&run->event->worker->runs, run, link);
    bw_parts_free(run);
    bw_timer_free(run->timer);
    free(run->results);
    bw_buf_free(&run->inputs);
    bw_buf_free(&run->locals);
    bw_buf_free(&run->output);
    bw_buf_free(&run->error);
    bw_buf_free(&run->cancelled);
    bw_run_end_script(run);
    free(run);
}

void bw_run_finish(struct bw_run *run)
{
    struct bw_worker_event *event = run->event;
    run->state = run->outcome;
    run->ended_ms = bw_clock_wall_ms();
    bw_trace_run(run, "run_finished");
    bw_report_run(run, false);
    run_free(run);
    bw_event_run_ended(event);
}

static void fail_run(struct bw_run *run, const struct bw_error *err, enum bw_error_class class, struct bw_slice step)
{
    bw_buf_clear(&run->error);
    bw_buf_clear(&run->output);
    bw_error_to_json(&run->error, err, class, step);
    bw_run_settle(run, BW_STATE_FAILED);
}

/* It goes on waiting as it was registered, unless something has ended that. */
static void restore_waiting(struct bw_step_result *result, int state, const json_t *recorded)
{
    result->due_ms = bw_json_int(recorded, "due_ms", 0);
    result->wake = json_object_get(recorded, "wake");
    result->children = json_object_get(recorded, "children");
    if (state == BW_STATE_RETRYING || state == BW_STATE_WAITING) bw_repeat_restore(result, bw_json_slice(json_object_get(recorded, "output_text")));
    if (state == BW_STATE_RETRYING && json_object_get(recorded, "error")) bw_json_append(&result->error, json_object_get(recorded, "error"));
    if (state == BW_STATE_RETRYING && !result->due_ms && !result->wake) { /* its process died while it waited in memory */
        result->ended_ms = bw_json_int(recorded, "ended_ms", 0);
        return;
    }
    result->state = state;
    result->is_reported = true;
}

/* What an earlier worker had recorded of this run. */
static bool restore_steps(struct bw_run *run, const json_t *recorded, struct bw_error *err)
{
    const struct bw_workflow *workflow = run->entry->workflow;
    size_t index;
    json_t *step;
    run->is_recorded = true;
    run->lost = (uint32_t)bw_json_int(recorded, "lost", 0);
    run->started_ms = bw_json_int(recorded, "started_ms", run->started_ms);
    run->resumed_ms = bw_json_int(recorded, "resumed_ms", 0);
    json_array_foreach(json_object_get(recorded, "steps"), index, step)
    {
        struct bw_slice path = bw_json_slice(json_object_get(step, "path"));
        if (memchr(path.ptr, '[', path.len)) { /* a part of a step: part.c asks for it */
            run->kept_bytes += bw_json_slice(json_object_get(step, "output_text")).len;
            continue;
        }
        for (size_t i = 0; i < workflow->step_count; i++) {
            struct bw_step_result *result = &run->results[i];
            if (!bw_slice_equal(workflow->steps[i].path, path) || bw_step_is_block(&workflow->steps[i])) continue;
            result->attempt = (uint32_t)bw_json_int(step, "attempt", 0);
            int state = (int)bw_json_int(step, "state", 0);
            result->started_ms = bw_json_int(step, "started_ms", 0);
            bool is_failed = state == BW_STATE_FAILED, is_unknown = state == BW_STATE_UNKNOWN;
            if (state == BW_STATE_STARTED) {
                bw_once_restore(run, i);
                continue;
            }
            size_t owner = bw_step_owner(workflow->steps, i);
            bool is_again = bw_json_bool(step, "again", false), goes_on = workflow->steps[owner].goes_on;
            if (is_again) result->children_total = (uint32_t)bw_json_int(step, "children_total", 0);
            if (is_again && !is_unknown && (state != BW_STATE_FAILED || !(goes_on || bw_step_is_caught(workflow->steps, owner)))) {
                *result = (struct bw_step_result){.children_total = result->children_total}; /* as if it had not begun */
                continue;
            }
            result->is_again = is_again && !goes_on;
            if (state == BW_STATE_WAITING || state == BW_STATE_RETRYING) restore_waiting(result, state, step);
            if (state == BW_STATE_WAITING) bw_parts_restore_waits(run, i, step, json_object_get(recorded, "steps"));
            if (state < BW_STATE_SUCCEEDED || state > BW_STATE_UNKNOWN)
                continue; /* an attempt that failed, or was on its way: it goes on from there */
            result->state = state;
            result->is_reported = true;
            result->ended_ms = bw_json_int(step, "ended_ms", result->started_ms);
            bw_buf_append_slice(&result->output, bw_json_slice(json_object_get(step, "output_text")));
            run->kept_bytes += result->output.len;
            if (json_object_get(step, "error")) bw_json_append(&result->error, json_object_get(step, "error"));
            if (state == BW_STATE_CANCELLED) continue;
            enum bw_step_status status = is_failed                     ? BW_STATUS_FAILED
                                         : is_unknown                  ? BW_STATUS_UNKNOWN
                                         : state == BW_STATE_SUCCEEDED ? BW_STATUS_SUCCEEDED
                                                                       : BW_STATUS_SKIPPED;
            if (!bw_script_set_step(bw_run_script(run), i, status, bw_buf_slice(&result->output), bw_buf_slice(&result->error), err)) return false;
        }
    }
    return true;
}

void bw_run_park(struct bw_run *run)
{
    struct bw_worker_event *event = run->event;
    run->state = BW_STATE_PARKED;
    bw_trace_run(run, "run_parked");
    bw_report_run(run, false);
    run_free(run);
    bw_event_run_ended(event);
}

bool bw_run_is_recorded_wait(const struct bw_run *run, size_t index)
{
    const struct bw_step_result *result = &run->results[index];
    if ((int32_t)index == run->entry->workflow->cancel_on) return false; /* it ends with all of them, in the report that says how the run did */
    return !result->is_under_way && (result->state == BW_STATE_WAITING || result->state == BW_STATE_RETRYING);
}

void bw_run_end_wait(struct bw_run *run, size_t index)
{
    struct bw_step_result *result = &run->results[index];
    result->state = result->state == BW_STATE_RETRYING && result->error.len ? BW_STATE_FAILED : BW_STATE_CANCELLED; /* else it was to be repeated */
    result->ended_ms = bw_clock_wall_ms();
    result->is_reported = false;
    if (result->has_had_waits) bw_parts_end_waits(run, index);
    bw_trace_step(run, index, "step_finished", 0);
}

static void end_waits(struct bw_run *run)
{
    for (size_t i = run->phase_first; i < run->phase_limit; i++)
        if (bw_run_is_recorded_wait(run, i)) bw_run_end_wait(run, i);
}

/* Whatever is under way, or was when it was recorded, is so no more. */
static void give_up_steps(struct bw_run *run)
{
    while (!TAILQ_EMPTY(&run->attempts)) {
        run->is_ending = true; /* no attempt is followed by another one */
        bw_step_cancel(TAILQ_FIRST(&run->attempts));
    }
    run->is_ending = false;
    end_waits(run);
}

/* Its steps have ended, as far as they had begun. */
static void settle_cancelled(struct bw_run *run)
{
    bw_buf_clear(&run->output);
    bw_buf_clear(&run->error);
    bw_buf_append_slice(&run->error, bw_buf_slice(&run->cancelled));
    bw_run_settle(run, BW_STATE_CANCELLED);
}

/* Nothing new begins, and what executes is told to end; then comes what follows the steps. When that has begun, it is not cut short: it is what the
 * run must not end without. */
void bw_run_cancel(struct bw_run *run, const struct bw_error *why)
{
    struct bw_attempt *attempt, *next;
    if (run->cancelled.len) return;
    bw_error_to_json(&run->cancelled, why, BW_CLASS_PERMANENT, (struct bw_slice){0});
    run->is_ending = true;
    for (attempt = TAILQ_FIRST(&run->attempts); attempt; attempt = next) {
        next = TAILQ_NEXT(attempt, sibling);
        bw_step_give_up(attempt);
    }
    end_waits(run);
    if (!run->attempt_count)
        settle_cancelled(run);
    else
        bw_report_run(run, false); /* with a row the flag can be put on disk: who cancels it need not wait until its steps have ended */
}

static void cancel(struct bw_run *run, const json_t *why)
{
    const char *reason = bw_json_str(why, "reason", "");
    struct bw_error err;
    if (run->outcome) return;
    bw_error_set(&err, "run.cancelled", *reason ? "the run was cancelled: %s" : "the run was cancelled%s", reason);
    bw_run_cancel(run, &err);
}

void bw_run_fail(struct bw_run *run, const struct bw_error *err)
{
    give_up_steps(run);
    fail_run(run, err, BW_CLASS_BUG, BW_SLICE("cancel_on"));
}

/* Whoever started it has closed it in the store: nothing that it does counts, so it does nothing any more. */
static void let_go(struct bw_run *run)
{
    give_up_steps(run);
    run->phase = BW_PHASE_OVER;
    run->outcome = BW_STATE_CANCELLED;
    bw_run_finish(run);
}

void bw_run_take_cancel(struct bw_worker *worker, const json_t *head)
{
    const json_t *why = json_object_get(head, "cancelled");
    struct bw_run *run;
    TAILQ_FOREACH(run, &worker->runs, link)
    {
        if (strcmp(run->uid_text, bw_json_str(head, "run", "")) != 0) continue;
        if (why)
            cancel(run, why);
        else
            let_go(run);
        return;
    }
    bw_held_cancel(worker, head);
}

/* The workflow's `timeout` is over, wherever the run is. */
static void expire(struct bw_run *run)
{
    struct bw_error err;
    char text[32];
    bw_error_set(&err, "run.timeout", "the run took longer than %s", bw_duration_text(timeout_of(run), text));
    bw_error_hint(&err, "give the workflow a longer `timeout`, if it needs one");
    give_up_steps(run);
    if (!run->outcome && run->cancelled.len) {
        settle_cancelled(run);
        return;
    }
    if (!run->outcome) {
        fail_run(run, &err, BW_CLASS_TIMEOUT, (struct bw_slice){0});
        return;
    }
    run->phase = BW_PHASE_OVER; /* what follows the end has its time, too */
    if (run->outcome == BW_STATE_SUCCEEDED || run->outcome == BW_STATE_SKIPPED) {
        bw_buf_clear(&run->output);
        bw_error_to_json(&run->error, &err, BW_CLASS_TIMEOUT, (struct bw_slice){0});
        run->outcome = BW_STATE_FAILED;
    }
    bw_run_finish(run);
}

void bw_run_watch_deadline(struct bw_run *run)
{
    int64_t left_ms = bw_run_deadline_ms(run) - bw_clock_wall_ms();
    if (left_ms < 1) left_ms = 1; /* not from within: the run may be freed */
    if (run->timer) bw_timer_set(run->timer, left_ms);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct bw_run *run = arg;
    (void)fd, (void)what;
    if (bw_run_deadline_ms(run) > bw_clock_wall_ms())
        bw_run_watch_deadline(run);
    else
        expire(run);
}

/* It ended its workers, nobody knows with what: none of its steps is begun any more, but what follows its failure is. */
static bool is_condemned(const struct bw_worker_event *event, struct bw_error *err)
{
    const json_t *why = json_object_get(event->head, "condemned");
    if (!why) return false;
    bw_error_set(err, bw_json_str(why, "code", "worker_lost"), "%s", bw_json_str(why, "message", ""));
    bw_error_hint(err, "%s", bw_json_str(why, "hint", ""));
    return true;
}

void bw_run_start(struct bw_worker_event *event, struct bw_catalog_workflow *entry, const struct bw_error *trigger_error)
{
    struct bw_run *run = calloc(1, sizeof *run);
    struct bw_error err;
    if (!run || !(run->results = calloc(entry->workflow->step_count + 1, sizeof *run->results))) exit(70);
    run->event = event;
    run->entry = entry;
    run->limit = run->phase_limit = entry->workflow->step_count;
    run->uid = bw_uid_of_run(event->uid, entry->workflow->name);
    if (event->is_resumed) {
        const json_t *self = json_array_get(json_object_get(event->head, "runs"), 0);
        bw_uid_parse(bw_json_slice(json_object_get(self, "uid")), BW_UID_RUN, &run->uid);
        run->child = json_object_get(self, "child");
        run->depth = (uint32_t)bw_json_int(run->child, "depth", 0);
    }
    bw_uid_text(run->uid, BW_UID_RUN, run->uid_text);
    run->state = BW_STATE_ACTIVE;
    run->started_ms = bw_clock_wall_ms();
    TAILQ_INIT(&run->attempts);
    TAILQ_INSERT_TAIL(&event->worker->runs, run, link);
    bw_trace_run(run, event->is_resumed ? "run_resumed" : "run_started");
    struct bw_run_scope scope;
    bw_event_scope(event, run->uid_text, &scope);
    const json_t *recorded = event->head ? recorded_run(event, run->uid) : NULL;
    bool good = bw_run_begin_script(run, &scope, &err) && (!run->child || bw_run_restore_item(run, &err));
    if (!good) { /* nothing can be evaluated: it ends at once */
        run->phase = BW_PHASE_OVER;
        fail_run(run, &err, BW_CLASS_BUG, (struct bw_slice){0});
        return;
    }
    run->phase_first = run->first;
    run->phase_limit = run->limit;
    if (recorded && !restore_steps(run, recorded, &err)) {
        fail_run(run, &err, BW_CLASS_BUG, (struct bw_slice){0});
        return;
    }
    if (trigger_error && !run->outcome) {
        fail_run(run, trigger_error, BW_CLASS_BUG, BW_SLICE("on"));
        return;
    }
    if (!bw_run_make_inputs(run, &err)) {
        fail_run(run, &err, BW_CLASS_INPUT, BW_SLICE("inputs"));
        return;
    }
    bw_script_set_names(bw_run_script(run), bw_buf_slice(&run->inputs), bw_buf_slice(&run->locals));
    if (entry->workflow->timeout_ms && !(run->timer = bw_timer_new(event->worker, on_deadline, run))) exit(70);
    if (bw_run_restore_outcome(run)) return;
    const json_t *cancelled = event->cancelled ? event->cancelled : json_object_get(recorded, "cancelled");
    if (cancelled) {
        cancel(run, cancelled);
        return;
    }
    if (is_condemned(event, &err)) {
        fail_run(run, &err, BW_CLASS_LOST, (struct bw_slice){0});
        return;
    }
    bw_run_restore_ending(run);
    if (!run->is_ending && (bw_json_bool(recorded, "overdue", false) || bw_run_deadline_ms(run) <= bw_clock_wall_ms())) {
        expire(run);
        return;
    }
    bool is_cancelled;
    if (!bw_cancel_on_begin(run, &is_cancelled, &err)) {
        bw_run_fail(run, &err);
        return;
    }
    if (is_cancelled) {
        bw_run_cancel(run, &err);
        return;
    }
    bw_run_watch_deadline(run);
    bw_run_advance(run);
}

static void finish(struct bw_run *run)
{
    const struct bw_workflow *workflow = run->entry->workflow;
    struct bw_error err;
    if (bw_run_is_item(run)) {
        bw_run_item_output(run, &run->output);
    } else if (workflow->outputs) {
        struct bw_buf rendered = {0};
        bw_note_enter(run->event, run->uid, BW_SLICE("outputs"), 0);
        bool good = bw_script_render(bw_run_script(run), workflow->outputs, &(struct bw_render){0}, &rendered, &err);
        bw_note_leave(run->event->worker);
        enum bw_error_class class = good ? BW_CLASS_OUTPUT : BW_CLASS_BUG;
        if (good && rendered.len > run->event->worker->max_output_bytes)
            good = bw_error_set(&err, "output.too_large", "the outputs of the workflow have %zu bytes, at most %zu are kept", rendered.len,
                                run->event->worker->max_output_bytes);
        if (!good) {
            bw_buf_free(&rendered);
            fail_run(run, &err, class, BW_SLICE("outputs"));
            return;
        }
        bw_redact_append(&run->output, bw_buf_slice(&rendered));
        bw_buf_free(&rendered);
    }
    bw_run_settle(run, BW_STATE_SUCCEEDED);
}

/* A `stop` that was reached: what had not begun is not run. */
static void stop(struct bw_run *run, const struct bw_step *step)
{
    struct bw_error err;
    json_t *said = bw_json_load(bw_buf_slice(&run->results[run->ending_step].output), &err);
    bw_error_set(&err, "stopped", "%s", bw_json_str(said, "message", "the run was stopped by its workflow"));
    json_decref(said);
    if (step->stop == BW_STOP_SUCCEEDED)
        finish(run);
    else if (step->stop == BW_STOP_SKIPPED)
        bw_run_settle(run, BW_STATE_SKIPPED);
    else
        fail_run(run, &err, BW_CLASS_PERMANENT, step->path);
}

void bw_run_end_steps(struct bw_run *run)
{
    const struct bw_step_result *ending = &run->results[run->ending_step];
    if (run->cancelled.len) {
        settle_cancelled(run);
    } else if (!run->is_ending) {
        finish(run);
    } else if (bw_state_is_failure(ending->state)) {
        bw_buf_clear(&run->error);
        bw_buf_append_slice(&run->error, bw_buf_slice(&ending->error));
        bw_run_settle(run, BW_STATE_FAILED);
    } else {
        stop(run, &run->entry->workflow->steps[run->ending_step]);
    }
}
