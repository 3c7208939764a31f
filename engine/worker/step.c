/* A step from its beginning: verdicts, condition, inputs, the first attempt. */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/json_view.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

static int64_t timeout_of(const struct bw_attempt *attempt)
{
    const struct bw_action *action = bw_attempt_action(attempt);
    if (bw_attempt_step(attempt)->timeout_ms) return bw_attempt_step(attempt)->timeout_ms;
    return action && action->timeout_ms ? action->timeout_ms : BW_STEP_TIMEOUT_MS;
}

static int64_t heartbeat_of(const struct bw_attempt *attempt)
{
    const struct bw_action *action = bw_attempt_action(attempt);
    if (bw_attempt_step(attempt)->heartbeat_ms) return bw_attempt_step(attempt)->heartbeat_ms;
    return action ? action->heartbeat_ms : 0;
}

static const char *key_of(struct bw_attempt *attempt)
{
    uint32_t iteration = bw_attempt_result(attempt)->iteration;
    if (!*attempt->key || attempt->key_iteration != iteration)
        bw_idempotency_key(attempt->run->uid, bw_attempt_step(attempt)->path.ptr, iteration, attempt->key);
    attempt->key_iteration = iteration;
    return attempt->key;
}

void bw_step_attempt(struct bw_attempt *attempt)
{
    struct bw_step_result *result = bw_attempt_result(attempt);
    const struct bw_action *action = bw_attempt_action(attempt);
    int64_t timeout_ms = timeout_of(attempt);
    if (attempt->run->entry->limits[attempt->step] && !attempt->permit &&
        (!bw_attempt_worker(attempt)->trial || bw_attempt_worker(attempt)->has_trial_limits)) {
        bw_permit_ask(attempt);
        return;
    }
    if (!attempt->is_recorded) {
        result->attempt++;
        if (!result->started_ms) result->started_ms = bw_clock_wall_ms();
        if (bw_attempt_step(attempt)->is_once) {
            bw_once_record(attempt);
            return;
        }
    }
    attempt->is_recorded = false;
    attempt->may_retry = attempt->is_called = true;
    attempt->deadline_us = bw_clock_mono_us() + timeout_ms * 1000;
    attempt->began_ms = bw_clock_wall_ms();
    attempt->deadline_ms = attempt->began_ms + timeout_ms;
    bw_trace_step(attempt->run, attempt->step, "step_started", 0);
    if (!attempt->mock && (action || strstr(bw_attempt_step(attempt)->lua.ptr, "ctx")))
        bw_attempt_set_timer(attempt, bw_step_on_timeout, timeout_ms); /* pure code cannot wait: its own clock is enough */
    bw_heartbeat_start(attempt, attempt->mock ? 0 : heartbeat_of(attempt));
    BW_CRASH_POINT(WORKER_BEFORE_ATTEMPT);
    if (attempt->mock)
        bw_trial_attempt(attempt, timeout_ms);
    else if (bw_attempt_step(attempt)->kind == BW_STEP_LUA || (action && action->source.len))
        bw_step_start_lua(attempt, key_of(attempt));
    else if (bw_attempt_worker(attempt)->trial)
        bw_trial_refuse_step(attempt);
    else
        bw_step_start_plugin(attempt, key_of(attempt), timeout_ms);
}

void bw_step_committed(struct bw_attempt *attempt)
{
    if (attempt->kept)
        bw_parts_committed(attempt);
    else if (attempt->is_recorded)
        bw_step_attempt(attempt);
    else
        bw_step_begin(attempt);
}

static void note_input_names(struct bw_attempt *attempt)
{
    const struct bw_template *with = bw_attempt_step(attempt)->with;
    struct bw_buf *names = &bw_attempt_result(attempt)->input_names;
    bw_buf_clear(names);
    bw_buf_append_char(names, '[');
    struct bw_json_iter iter = bw_json_view_iter(bw_json_view_of(bw_buf_slice(&attempt->input)));
    struct bw_slice key;
    struct bw_json_view value;
    for (size_t i = 0; with && bw_json_iter_next(&iter, &key, &value); i++) {
        if (i) bw_buf_append_char(names, ',');
        bw_buf_append_slice(names, key);
    }
    bw_buf_append_char(names, ']');
}

/* Inputs are rendered and checked once, before the first attempt: what is wrong with them stays wrong. */
static bool prepare_input(struct bw_attempt *attempt, struct bw_error *err, enum bw_error_class *class)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    const struct bw_action *action = bw_attempt_action(attempt);
    struct bw_grant grants[BW_WORKFLOW_SECRETS_MAX];
    struct bw_render render = {.grants = grants,
                               .grant_count = bw_step_grants(attempt, false, grants),
                               .allow_secrets = true,
                               .config = bw_values_text(bw_attempt_worker(attempt)),
                               .result = bw_run_result_at(attempt->run, attempt->step)};
    struct bw_buf approval = {0};
    char step_text[BW_IDEMPOTENCY_KEY_TEXT + 16];
    if (step->with) render.step = (struct bw_slice){step_text, (size_t)snprintf(step_text, sizeof step_text, "{\"key\":\"%s\"}", key_of(attempt))};
    bool good = step->notifies < 0 || bw_approval_scope(attempt->run, (size_t)step->notifies, &approval, err);
    render.approval = bw_buf_slice(&approval);
    bw_buf_clear(&attempt->input);
    *class = BW_CLASS_BUG;
    if (good && step->with) {
        bw_note_enter_step(attempt->run, attempt->step, attempt->deadline_us);
        good = bw_script_render(bw_run_script_at(attempt->run, attempt->step), step->with, &render, &attempt->input, err);
        bw_note_leave(bw_attempt_worker(attempt));
    } else if (good) {
        bw_buf_append_text(&attempt->input, "{}");
    }
    bw_buf_free(&approval);
    if (good && attempt->input.len > BW_INPUT_BYTES_MAX) {
        *class = BW_CLASS_INPUT;
        good = bw_error_set(err, "input.too_large", "the inputs of the step have %zu bytes, at most %u are allowed", attempt->input.len,
                            BW_INPUT_BYTES_MAX);
        bw_error_at(err, attempt->run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
    }
    if (good) note_input_names(attempt);
    if (good && action && action->inputs) {
        *class = BW_CLASS_INPUT;
        json_t *input = bw_json_load(bw_buf_slice(&attempt->input), err);
        good = input && bw_schema_check(action->inputs, input, false, "input", err);
        if (good) {
            bw_buf_clear(&attempt->input);
            bw_json_append(&attempt->input, input);
        } else {
            bw_error_at(err, attempt->run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
        }
        json_decref(input);
    }
    if (good) bw_trial_trace_input(attempt);
    return good;
}

static const json_t *entry_for(const struct bw_run *run, size_t step, const char *list)
{
    size_t index;
    json_t *entry;
    struct bw_slice path = run->entry->workflow->steps[step].path;
    json_array_foreach(json_object_get(run->event->head, list), index, entry)
    {
        if (!strcmp(bw_json_str(entry, "run", ""), run->uid_text) && bw_slice_is(path, bw_json_str(entry, "path", ""))) return entry;
    }
    return NULL;
}

bool bw_step_is_condemned(struct bw_run *run, size_t step, struct bw_error *err, enum bw_error_class *class)
{
    if (!run->event->head) return false;
    const json_t *verdict = entry_for(run, step, "verdicts"), *lost = entry_for(run, step, "lost");
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
    bw_error_hint(err, "the engine's log says how the workers ended (worker.lost), and when the engine ended with one (engine.lost)");
    *class = BW_CLASS_LOST;
    return true;
}

bool bw_step_condition(struct bw_run *run, size_t index, bool *answer, struct bw_error *err)
{
    const struct bw_step *step = &run->entry->workflow->steps[index];
    *answer = true;
    if (step->condition < 0) return true;
    bw_note_enter_step(run, index, 0);
    struct bw_script *script = bw_run_script_at(run, index);
    bool good = step->undoes >= 0 ? bw_script_condition_of(script, (uint32_t)step->condition, bw_run_result_at(run, index), answer, err)
                                  : bw_script_condition(script, (uint32_t)step->condition, answer, err);
    bw_note_leave(run->event->worker);
    return good;
}

/* Effects wait until what they depend on is on disk (semantics.md 2.3). Pure results are recomputed to the same value: they need not be. And who is
 * given a link to an approval must not find that there is no such run (must_be_known). Nor does any begin before a run has heard of the events that
 * have cancelled it while it waited to begin (must_listen). The report to wait for, or 0. */
static int64_t report_to_wait_for(struct bw_run *run, bool must_be_known)
{
    bool is_reported = true, is_new = !run->asked_report && (run->must_listen || (must_be_known && !run->is_recorded));
    must_be_known |= run->must_listen;
    for (size_t i = 0; i < run->entry->workflow->step_count && is_reported; i++) {
        const struct bw_step_result *result = &run->results[i];
        is_reported = result->state < BW_STATE_SUCCEEDED || result->state == BW_STATE_SKIPPED || result->is_reported || result->is_pure;
    }
    if (is_reported && !is_new && run->behind_report <= run->event->worker->committed &&
        (!must_be_known || run->asked_report <= run->event->worker->committed))
        return 0;
    if (!is_reported || is_new || run->asked_report < run->behind_report) run->asked_report = bw_report_run(run, true);
    return run->asked_report;
}

static bool has_effect(const struct bw_attempt *attempt)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    if (attempt->mock) return true;
    if (step->effect) return step->effect == BW_EFFECT_WRITE;
    if (step->kind == BW_STEP_SET || step->kind == BW_STEP_STOP) return false;
    if (step->kind == BW_STEP_LUA) return strstr(step->lua.ptr, "ctx") != NULL;
    return bw_attempt_action(attempt)->has_effect;
}

static bool is_pure(const struct bw_attempt *attempt)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    if (attempt->mock) return false;
    if (step->effect) return step->effect == BW_EFFECT_NONE;
    if (step->kind == BW_STEP_SET || step->kind == BW_STEP_STOP) return true;
    if (step->kind == BW_STEP_LUA) return !strstr(step->lua.ptr, "ctx") && !strstr(step->lua.ptr, "random");
    return !strcmp(bw_json_str(bw_attempt_action(attempt)->manifest, "effect", "write"), "none");
}

void bw_step_begin(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    struct bw_worker *worker = bw_attempt_worker(attempt);
    struct bw_step_result *result = bw_attempt_result(attempt);
    const struct bw_step *step = bw_attempt_step(attempt);
    enum bw_error_class class = BW_CLASS_BUG;
    struct bw_error err;
    bool answer = true;

    attempt->deadline_us = 0;
    attempt->may_retry = false;
    if (bw_step_is_condemned(run, attempt->step, &err, &class)) {
        result->attempt++;
        result->started_ms = bw_clock_wall_ms();
        bw_step_fail(attempt, &err, class, -1);
        return;
    }
    attempt->mock = bw_trial_mock(attempt);
    bool has_children = step->kind == BW_STEP_FOREACH || (step->kind == BW_STEP_CALL && !attempt->mock);
    if (has_children && result->state == BW_STATE_WAITING) {
        bw_step_resume_children(attempt);
        return;
    }
    if (result->waits_on_parts) {
        bw_parts_resume(attempt);
        return;
    }
    if (result->state == BW_STATE_WAITING || (result->state == BW_STATE_RETRYING && (result->due_ms || result->wake))) {
        bw_wait_resume(attempt);
        return;
    }
    if (!bw_step_condition(run, attempt->step, &answer, &err)) {
        result->started_ms = bw_clock_wall_ms();
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
        return;
    }
    if (!answer) {
        bw_step_skip(attempt);
        return;
    }
    if (step->kind == BW_STEP_EMIT) {
        bw_emit(attempt);
        return;
    }
    if (step->kind == BW_STEP_RESPOND) {
        bw_respond(attempt);
        return;
    }
    if (has_children) {
        bw_step_begin_children(attempt);
        return;
    }
    if (step->kind == BW_STEP_SLEEP || step->kind == BW_STEP_WAIT) {
        bw_wait_begin(attempt);
        return;
    }
    if (step->kind == BW_STEP_APPROVE) {
        bw_approve_begin(attempt);
        return;
    }
    result->is_pure = is_pure(attempt);
    bool has_barrier = (has_effect(attempt) && !step->is_once) || step->notifies >= 0; /* that of is_once is in front of each attempt */
    if (has_barrier && (attempt->report = report_to_wait_for(run, step->notifies >= 0))) {
        attempt->wait = BW_WAIT_COMMIT;
        TAILQ_INSERT_TAIL(&worker->unacknowledged, attempt, link);
        return; /* bw_step_begin() again when it is on disk */
    }
    if (step->kind == BW_STEP_SET || step->kind == BW_STEP_STOP) {
        struct bw_buf output = {0};
        result->attempt = 1;
        result->started_ms = bw_clock_wall_ms();
        bw_trace_step(attempt->run, attempt->step, "step_started", 0);
        bw_note_enter_step(attempt->run, attempt->step, attempt->deadline_us);
        bool good = bw_script_render(bw_run_script_at(attempt->run, attempt->step), step->set, &(struct bw_render){0}, &output, &err);
        bw_note_leave(worker);
        if (good)
            bw_step_succeed(attempt, bw_buf_slice(&output));
        else
            bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
        bw_buf_free(&output);
        return;
    }
    if (!prepare_input(attempt, &err, &class)) {
        result->started_ms = bw_clock_wall_ms();
        bw_step_fail(attempt, &err, class, -1);
        return;
    }
    if (run->entry->limits[attempt->step] && !bw_permit_prepare(attempt, &err)) {
        result->started_ms = bw_clock_wall_ms();
        bw_step_fail(attempt, &err, BW_CLASS_INPUT, -1);
        return;
    }
    if (bw_step_waits_on(attempt)) return;
    bw_step_attempt(attempt);
}
