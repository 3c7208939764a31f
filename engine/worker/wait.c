/* Steps that wait for time or for an event, and steps whose next attempt is far away. While other steps of the run are under way they wait in
 * memory; when nothing else is, the run is parked: the store has what ends the waiting, and the run leaves this process. */
#include "base/clock.h"
#include "base/json_view.h"
#include "base/units.h"
#include "worker/internal.h"
#include "workflow/wait_key.h"
#include <stdlib.h>
#include <string.h>

static void on_due(evutil_socket_t fd, short what, void *arg);

/* due_ms 0: only an event ends it (or the end of the run). */
void bw_wait_hold(struct bw_attempt *attempt, int64_t due_ms)
{
    struct bw_step_result *result = bw_attempt_result(attempt);
    result->due_ms = due_ms;
    attempt->wait = BW_WAIT_DURABLE;
    attempt->run->waiting_count++;
    if (bw_attempt_result(attempt)->state == BW_STATE_WAITING && !bw_attempt_result(attempt)->waits_on_parts)
        bw_trace_step(attempt->run, attempt->step, "step_waiting", due_ms ? due_ms - bw_clock_wall_ms() : 0);
    if (due_ms) bw_attempt_set_timer(attempt, on_due, due_ms - bw_clock_wall_ms());
    bw_run_advance(attempt->run);
}

void bw_wait_for_retry(struct bw_attempt *attempt, int64_t delay_ms)
{
    bw_wait_hold(attempt, bw_clock_wall_ms() + delay_ms);
}

/* ---- what a wait gives ---- */

static void append_event(struct bw_buf *out, const json_t *event)
{
    struct bw_slice body = bw_json_slice(json_object_get(event, "body_text"));
    bw_buf_append_text(out, "\"event\":{\"id\":");
    bw_buf_append_json_string(out, bw_json_slice(json_object_get(event, "uid")));
    bw_buf_append_text(out, ",\"name\":");
    bw_buf_append_json_string(out, bw_json_slice(json_object_get(event, "name")));
    bw_buf_append_text(out, ",\"source\":");
    bw_buf_append_json_string(out, bw_json_slice(json_object_get(event, "source")));
    bw_buf_printf(out, ",\"at\":%lld,\"trusted\":%s", (long long)bw_json_int(event, "at_ms", 0),
                  bw_json_bool(event, "trusted", false) ? "true" : "false");
    if (body.len && bw_json_scan(body, NULL, NULL, NULL)) {
        bw_buf_append_text(out, ",\"data\":");
        bw_buf_append_slice(out, body);
    }
    bw_buf_append_char(out, '}');
}

bool bw_wait_make_keys(struct bw_run *run, size_t index, struct bw_error *err)
{
    const struct bw_step *step = &run->entry->workflow->steps[index];
    struct bw_step_result *result = &run->results[index];
    struct bw_buf value = {0};
    bool good = true;
    if (!result->keys && !(result->keys = calloc(step->arm_count, sizeof *result->keys))) exit(70);
    for (size_t i = 0; good && i < step->arm_count; i++) {
        const struct bw_step_arm *arm = &step->arms[i];
        bw_buf_clear(&value);
        if (arm->equals) {
            bw_note_enter_step(run, index, 0);
            good = bw_script_render(bw_run_script_at(run, index), arm->equals, &(struct bw_render){0}, &value, err);
            bw_note_leave(run->event->worker);
        }
        if (!good || bw_wait_key(arm->event, arm->by, bw_buf_slice(&value), &result->keys[i])) continue;
        good = bw_error_set(err, "wait.equals", "`equals` gave %s: no event could match", value.len < 80 ? value.data : "an object or a list");
        bw_error_hint(err, "it must give a text, a number, true or false");
        bw_error_at(err, run->entry->workflow->file.ptr, arm->mark.line, arm->mark.column);
    }
    bw_buf_free(&value);
    return good;
}

static void wait_again(struct bw_attempt *attempt, int64_t behind_event)
{
    struct bw_step_result *result = bw_attempt_result(attempt);
    result->since_event = behind_event;
    result->is_reported = false;
    bw_wait_hold(attempt, result->due_ms);
}

/* The key is a hash: does the field have the value indeed? */
static bool fits(struct bw_run *run, size_t index, size_t arm_index, struct bw_slice body, bool *answer, struct bw_error *err)
{
    const struct bw_step_arm *arm = &run->entry->workflow->steps[index].arms[arm_index];
    struct bw_buf wanted = {0}, pointer = {0};
    struct bw_json_view found;
    *answer = true;
    if (!arm->equals) return true;
    bw_wait_pointer(arm->by, &pointer);
    bw_note_enter_step(run, index, 0);
    bool good = bw_script_render(bw_run_script_at(run, index), arm->equals, &(struct bw_render){0}, &wanted, err);
    bw_note_leave(run->event->worker);
    *answer = good && !pointer.failed && bw_json_scan(body, NULL, NULL, NULL) && bw_json_view_pointer(bw_json_view_of(body), pointer.data, &found) &&
              bw_wait_equal(found.raw, bw_buf_slice(&wanted));
    bw_buf_free(&wanted);
    bw_buf_free(&pointer);
    return good;
}

bool bw_wait_look_at(struct bw_run *run, size_t index, const json_t *wake, struct bw_buf *output, bool *answer, struct bw_error *err)
{
    const struct bw_step *step = &run->entry->workflow->steps[index];
    const json_t *event = json_object_get(wake, "event");
    size_t arm = (size_t)bw_json_int(wake, "arm", 0);
    bool good = true;
    *answer = true;
    bw_buf_append_char(output, '{');
    append_event(output, event);
    bw_buf_printf(output, ",\"arm\":%zu,\"timed_out\":false}", arm + 1);
    if (arm >= step->arm_count) return true;
    good = fits(run, index, arm, bw_json_slice(json_object_get(event, "body_text")), answer, err);
    if (good && *answer && step->arms[arm].condition >= 0) {
        bw_note_enter_step(run, index, 0);
        good = bw_script_condition_of(bw_run_script_at(run, index), (uint32_t)step->arms[arm].condition, bw_buf_slice(output), answer, err);
        bw_note_leave(run->event->worker);
    }
    return good;
}

static void on_event(struct bw_attempt *attempt, const json_t *wake)
{
    struct bw_buf output = {0};
    struct bw_error err;
    bool answer;
    bool good = bw_wait_look_at(attempt->run, attempt->step, wake, &output, &answer, &err);
    if (!good || (!answer && !bw_wait_make_keys(attempt->run, attempt->step, &err)))
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
    else if (!answer)
        wait_again(attempt, bw_json_int(json_object_get(wake, "event"), "id", 0));
    else
        bw_step_succeed(attempt, bw_buf_slice(&output));
    bw_buf_free(&output);
}

static void on_time(struct bw_attempt *attempt)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_error err;
    char text[32];
    if (step->kind == BW_STEP_SLEEP) {
        bw_step_succeed(attempt, BW_SLICE("{}"));
    } else if (step->kind == BW_STEP_APPROVE) {
        bw_approve_timed_out(attempt);
    } else if (bw_attempt_result(attempt)->waits_on_parts) {
        bw_parts_resume(attempt);
    } else if (bw_step_is_pending(attempt->run, attempt->step)) {
        bw_pending_timed_out(attempt);
    } else if (step->kind != BW_STEP_WAIT) {
        bw_attempt_result(attempt)->due_ms = 0;
        bw_step_begin(attempt); /* the next attempt, from the rendering of its inputs on */
    } else if (step->ends_well) {
        bw_step_succeed(attempt, BW_SLICE("{\"timed_out\":true}"));
    } else {
        bw_error_set(&err, "wait.timeout", "no such event came within %s", bw_duration_text(step->wait_ms, text));
        bw_error_hint(&err, "on_timeout: continue lets the run go on, with timed_out = true");
        bw_step_fail(attempt, &err, BW_CLASS_PERMANENT, -1);
    }
}

static void stop_waiting(struct bw_attempt *attempt)
{
    attempt->wait = BW_WAIT_NONE;
    attempt->run->waiting_count--;
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    struct bw_attempt *attempt = arg;
    (void)fd, (void)what;
    int64_t left_ms = bw_attempt_result(attempt)->due_ms - bw_clock_wall_ms();
    if (left_ms > 0) { /* the clock was set back: never early */
        bw_attempt_set_timer(attempt, on_due, left_ms);
        return;
    }
    stop_waiting(attempt);
    on_time(attempt);
}

void bw_wait_resume(struct bw_attempt *attempt)
{
    struct bw_step_result *result = bw_attempt_result(attempt);
    const json_t *wake = result->wake;
    result->wake = NULL;
    if (!wake && (!result->due_ms || result->due_ms > bw_clock_wall_ms()))
        bw_wait_hold(attempt, result->due_ms); /* something else woke the run */
    else if (wake && bw_json_int(wake, "kind", 0) == BW_WAKE_EVENT)
        on_event(attempt, wake);
    else if (wake && bw_json_int(wake, "kind", 0) == BW_WAKE_VOTE && bw_step_is_pending(attempt->run, attempt->step))
        bw_pending_answered(attempt, wake);
    else if (wake && bw_json_int(wake, "kind", 0) == BW_WAKE_VOTE)
        bw_approve_voted(attempt, wake);
    else
        on_time(attempt);
}

/* ---- the beginning ---- */

/* Until when a sleep lasts; what is wrong with its value stays wrong. */
static bool sleep_due(const struct bw_attempt *attempt, struct bw_slice rendered, int64_t now_ms, int64_t *due_ms, struct bw_error *err)
{
    json_t *value = bw_json_load(rendered, err), *for_text = json_object_get(value, "for"), *until = json_object_get(value, "until");
    const struct bw_step *step = bw_attempt_step(attempt);
    int64_t length_ms = 0;
    bool good = false;
    if (json_is_string(for_text) && bw_duration_parse(bw_json_slice(for_text), &length_ms, err)) {
        *due_ms = now_ms + length_ms;
        good = true;
    } else if (json_is_integer(until)) {
        *due_ms = json_integer_value(until);
        good = true;
    } else if (json_is_string(until) && bw_clock_parse(bw_json_slice(until), due_ms)) {
        good = true;
    } else if (value) {
        bw_error_set(err, "sleep.value", for_text ? "this is no duration" : "this is no time");
        bw_error_hint(err,
                      for_text ? "write for example ${{ days .. 'd' }}" : "give RFC 3339 text such as 2026-11-23T12:00:00Z, or Unix milliseconds");
    }
    json_decref(value);
    if (good && *due_ms > now_ms + BW_WORKFLOW_WAIT_MAX_MS) {
        good = bw_error_set(err, "sleep.too_long", "a sleep may last 366 days at most");
        bw_error_hint(err, "check the value: Unix time is meant in milliseconds");
    }
    if (!good) bw_error_at(err, attempt->run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
    return good;
}

void bw_wait_begin(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_step_result *result = bw_attempt_result(attempt);
    struct bw_buf rendered = {0};
    struct bw_error err;
    int64_t now_ms = bw_clock_wall_ms(), due_ms = 0;
    bool good;
    result->attempt = 1;
    result->started_ms = now_ms;
    bw_trace_step(run, attempt->step, "step_started", 0);
    if (step->kind == BW_STEP_SLEEP) {
        bw_note_enter_step(run, attempt->step, 0);
        good = bw_script_render(bw_run_script_at(run, attempt->step), step->set, &(struct bw_render){0}, &rendered, &err);
        bw_note_leave(bw_attempt_worker(attempt));
        good = good && sleep_due(attempt, bw_buf_slice(&rendered), now_ms, &due_ms, &err);
    } else {
        good = bw_wait_make_keys(run, attempt->step, &err);
        if (step->wait_ms) due_ms = now_ms + step->wait_ms;
        result->since_event = step->since_ms < 0 ? run->event->id : 0;
        result->since_ms = step->since_ms < 0 ? 0 : now_ms - step->since_ms;
    }
    bw_buf_free(&rendered);
    if (!good) {
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
        return;
    }
    result->state = BW_STATE_WAITING;
    bw_wait_hold(attempt, due_ms);
}

/* ---- leaving this process ---- */

bool bw_run_may_park(const struct bw_run *run)
{
    const struct bw_attempt *attempt;
    int64_t soon_ms = bw_clock_wall_ms() + BW_PARK_AFTER_MS;
    if (!run->attempt_count || run->waiting_count != run->attempt_count) return false;
    TAILQ_FOREACH(attempt, &run->attempts, sibling)
    {
        const struct bw_step_result *result = bw_attempt_result(attempt);
        bool has_time = bw_attempt_step(attempt)->kind == BW_STEP_SLEEP || result->state == BW_STATE_RETRYING; /* that ends it */
        if (has_time && result->due_ms <= soon_ms) return false;
    }
    return true;
}
