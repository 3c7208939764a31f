/* A step from its beginning: verdicts, condition, inputs, the first attempt. */
#include "base/clock.h"
#include "base/json_view.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

static int64_t timeout_of(const struct bw_run *run)
{
    const struct bw_action *action = bw_run_action(run);
    if (bw_run_step(run)->timeout_ms) return bw_run_step(run)->timeout_ms;
    return action && action->timeout_ms ? action->timeout_ms : BW_STEP_TIMEOUT_MS;
}

void bw_step_attempt(struct bw_run *run)
{
    struct bw_step_result *result = bw_run_result(run);
    char key[BW_IDEMPOTENCY_KEY_TEXT];
    int64_t timeout_ms = timeout_of(run);
    result->attempt++;
    run->may_retry = true;
    if (!result->started_ms) result->started_ms = bw_clock_wall_ms();
    run->deadline_us = bw_clock_mono_us() + timeout_ms * 1000;
    bw_idempotency_key(run->uid, bw_run_step(run)->id.ptr, 0, key);
    bw_trace_step(run, "step_started", 0);
    if (bw_run_action(run) || strstr(bw_run_step(run)->lua.ptr, "ctx"))
        bw_run_set_timer(run, bw_step_on_timeout, timeout_ms); /* pure code cannot wait: its own clock is enough */
    if (bw_run_step(run)->kind == BW_STEP_LUA || run->entry->lua_actions[run->step])
        bw_step_start_lua(run, key);
    else
        bw_step_start_plugin(run, key, timeout_ms);
}

static void note_input_names(struct bw_run *run)
{
    const struct bw_template *with = bw_run_step(run)->with;
    struct bw_buf *names = &bw_run_result(run)->input_names;
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
    const struct bw_step *step = bw_run_step(run);
    const struct bw_action *action = bw_run_action(run);
    struct bw_grant grants[64];
    const struct bw_render render = {.grants = grants, .grant_count = bw_run_grants(run, false, grants, 64), .allow_secrets = true};
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
        if (!strcmp(bw_json_str(entry, "run", ""), run->uid_text) && bw_slice_is(bw_run_step(run)->id, bw_json_str(entry, "path", ""))) return entry;
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
    if (run->is_behind) return true;
    for (size_t i = 0; i < run->step; i++)
        if (run->results[i].state != BW_STATE_SKIPPED && !run->results[i].is_reported && !run->results[i].is_pure) return true;
    return false;
}

static bool has_effect(const struct bw_run *run)
{
    const struct bw_step *step = bw_run_step(run);
    if (step->kind == BW_STEP_SET || step->kind == BW_STEP_STOP) return false;
    if (step->kind == BW_STEP_LUA) return strstr(step->lua.ptr, "ctx") != NULL;
    return bw_run_action(run)->has_effect;
}

static bool is_pure(const struct bw_run *run)
{
    const struct bw_step *step = bw_run_step(run);
    if (step->kind == BW_STEP_SET || step->kind == BW_STEP_STOP) return true;
    if (step->kind == BW_STEP_LUA) return !strstr(step->lua.ptr, "ctx") && !strstr(step->lua.ptr, "random");
    return !strcmp(bw_json_str(bw_run_action(run)->manifest, "effect", "write"), "none");
}

void bw_step_begin(struct bw_run *run)
{
    struct bw_worker *worker = run->event->worker;
    struct bw_step_result *result = bw_run_result(run);
    const struct bw_step *step = bw_run_step(run);
    enum bw_error_class class = BW_CLASS_BUG;
    struct bw_error err;
    bool answer = true;

    run->deadline_us = 0;
    run->may_retry = false;
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
        bw_step_skip(run);
        return;
    }
    result->is_pure = is_pure(run);
    if (has_effect(run) && must_wait_for_disk(run)) {
        run->report = bw_report_run(run, true);
        run->wait = BW_WAIT_COMMIT;
        TAILQ_INSERT_TAIL(&worker->unacknowledged, run, link);
        return; /* bw_step_begin() again when it is on disk */
    }
    if (step->kind == BW_STEP_SET || step->kind == BW_STEP_STOP) {
        struct bw_buf output = {0};
        result->attempt = 1;
        result->started_ms = bw_clock_wall_ms();
        bw_trace_step(run, "step_started", 0);
        bw_note_enter(run);
        bool good = bw_script_render(run->script, step->set, &(struct bw_render){0}, &output, &err);
        bw_note_leave(worker);
        if (good)
            bw_step_succeed(run, bw_buf_slice(&output));
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
    bw_step_attempt(run);
}
