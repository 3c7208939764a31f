/* Parts of a step (ctx.part): what its code does in several calls, each of them recorded as a row of its own before the code goes on, as STEP.NAME.
 * An attempt that is made again, after a failure or a crash, finds what is recorded and does not do it again. A part is a value that the code gives,
 * or an action that it runs: a coroutine of its own, or a plugin's call, while the code's own one waits; with the same idempotency key each time. */
#include "base/clock.h"
#include "base/log.h"
#include "base/suggest.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 256

/* ---- what is recorded ---- */

void bw_parts_path(const struct bw_attempt *attempt, struct bw_slice name, char out[BW_PART_PATH_BYTES])
{
    uint32_t iteration = bw_attempt_result(attempt)->iteration;
    char again[16] = "";
    if (iteration) snprintf(again, sizeof again, "{%u}", iteration); /* of a step with `repeat` */
    snprintf(out, BW_PART_PATH_BYTES, "%s%s.%.*s", bw_attempt_step(attempt)->path.ptr, again, (int)name.len, name.ptr);
}

struct bw_step_part *bw_parts_at(const struct bw_run *run, const char *path)
{
    for (size_t i = 0; i < run->part_count; i++)
        if (!strcmp(run->parts[i]->path, path)) return run->parts[i];
    return NULL;
}

const json_t *bw_parts_row(const struct bw_run *run, const char *path)
{
    size_t index, inner;
    json_t *entry, *step;
    json_array_foreach(run->event->head ? json_object_get(run->event->head, "runs") : NULL, index, entry)
    {
        if (strcmp(bw_json_str(entry, "uid", ""), run->uid_text) != 0) continue;
        json_array_foreach(json_object_get(entry, "steps"), inner, step) if (!strcmp(bw_json_str(step, "path", ""), path)) return step;
    }
    return NULL;
}

/* Of an earlier worker. One that has failed and whose run was resumed is done again. */
static const json_t *find_recorded(const struct bw_run *run, const char *path)
{
    const json_t *row = bw_parts_row(run, path);
    int64_t state = bw_json_int(row, "state", 0);
    bool counts = state == BW_STATE_SUCCEEDED || (state == BW_STATE_FAILED && !bw_json_bool(row, "again", false));
    return counts ? row : NULL;
}

/* What a test says of it. */
static const json_t *find_mock(const struct bw_attempt *attempt, const char *path)
{
    return json_array_get(bw_trial_mock_named(attempt, path), 0);
}

int bw_parts_find(const struct bw_attempt *attempt, struct bw_slice name, struct bw_buf *output, struct bw_buf *error)
{
    char path[BW_PART_PATH_BYTES];
    bw_parts_path(attempt, name, path);
    const struct bw_step_part *part = bw_parts_at(attempt->run, path);
    const json_t *recorded = part ? NULL : find_recorded(attempt->run, path), *mock = part || recorded ? NULL : find_mock(attempt, path);
    if (part && part->state == BW_STATE_WAITING) return 0;
    if (part) {
        bw_buf_append_slice(output, bw_buf_slice(&part->output));
        bw_buf_append_slice(error, bw_buf_slice(&part->error));
        return part->state;
    }
    if (recorded) bw_buf_append_slice(output, bw_json_slice(json_object_get(recorded, "output_text")));
    if (recorded && json_object_get(recorded, "error")) bw_json_append(error, json_object_get(recorded, "error"));
    if (recorded) return (int)bw_json_int(recorded, "state", 0);
    if (!mock) return 0;
    bool has_failed = json_object_get(mock, "error") != NULL;
    if (has_failed)
        bw_json_append(error, json_object_get(mock, "error"));
    else if (json_object_get(mock, "output"))
        bw_json_append(output, json_object_get(mock, "output"));
    else
        bw_buf_append_text(output, "{}");
    return has_failed ? BW_STATE_FAILED : BW_STATE_SUCCEEDED;
}

struct bw_step_part *bw_parts_add(struct bw_run *run, size_t step, const char *path, int state, int64_t started_ms)
{
    struct bw_step_part *part = calloc(1, sizeof *part), **grown = realloc(run->parts, (run->part_count + 1) * sizeof *grown);
    if (!part || !grown) exit(70); /* no memory: another worker goes on */
    snprintf(part->path, sizeof part->path, "%s", path);
    part->state = state;
    part->step = step;
    part->is_sensitive = run->entry->workflow->steps[step].is_sensitive;
    part->started_ms = started_ms;
    part->ended_ms = bw_clock_wall_ms();
    run->parts = grown;
    return grown[run->part_count++] = part;
}

void bw_parts_free(struct bw_run *run)
{
    for (size_t i = 0; i < run->part_count; i++) {
        bw_buf_free(&run->parts[i]->output);
        bw_buf_free(&run->parts[i]->error);
        bw_buf_free(&run->parts[i]->calls);
        bw_join_free(run->parts[i]->join);
        free(run->parts[i]);
    }
    free(run->parts);
}

/* Onto the disk, then bw_parts_committed(). */
static void record(struct bw_attempt *attempt, struct bw_step_part *part)
{
    struct bw_run *run = attempt->run;
    attempt->kept = part;
    bw_meter_move(&attempt->calls, &part->calls);
    bw_trace_part(run, attempt->step, part);
    attempt->report = run->asked_report = bw_report_run(run, true);
    attempt->wait = BW_WAIT_KEPT;
    TAILQ_INSERT_TAIL(&bw_attempt_worker(attempt)->unacknowledged, attempt, link);
}

void bw_parts_committed(struct bw_attempt *attempt)
{
    const struct bw_step_part *part = attempt->kept;
    attempt->kept = NULL;
    if (part->state == BW_STATE_SUCCEEDED)
        bw_task_answer(attempt->task, &(struct bw_http_answer){.status = 200, .body = bw_buf_slice(&part->output)});
    else
        bw_task_answer(attempt->task, &(struct bw_http_answer){.status = 500, .body = bw_buf_slice(&part->error)});
    bw_attempt_ready(attempt);
}

bool bw_parts_is_too_large(const struct bw_attempt *attempt, struct bw_slice output, struct bw_error *err)
{
    const struct bw_worker *worker = bw_attempt_worker(attempt);
    if (output.len <= worker->max_output_bytes && attempt->run->kept_bytes + output.len <= worker->max_run_output_bytes) return false;
    bw_error_set(err, "output.too_large", "a part of the step gave %zu bytes: that is more than is kept of one, or of all of the run", output.len);
    return true;
}

void bw_parts_answer_error(struct bw_attempt *attempt, const struct bw_error *err)
{
    bw_task_answer(attempt->task, &(struct bw_http_answer){.error = err});
    bw_attempt_ready(attempt);
}

void bw_parts_keep(struct bw_attempt *attempt, struct bw_slice name, struct bw_slice value)
{
    char path[BW_PART_PATH_BYTES];
    struct bw_error err;
    bw_parts_path(attempt, name, path);
    if (bw_parts_is_too_large(attempt, value, &err)) {
        bw_parts_answer_error(attempt, &err);
        return;
    }
    if (bw_parts_at(attempt->run, path)) {
        bw_error_set(&err, "part.twice", "there is a part %s already", path);
        bw_parts_answer_error(attempt, &err);
        return;
    }
    struct bw_step_part *part = bw_parts_add(attempt->run, attempt->step, path, BW_STATE_SUCCEEDED, bw_clock_wall_ms());
    bw_redact_append(&part->output, value);
    attempt->run->kept_bytes += part->output.len;
    record(attempt, part);
}

/* ---- actions ---- */

static bool is_unused(const struct bw_catalog *catalog, const char *action)
{
    size_t index;
    json_t *name;
    json_array_foreach(catalog->unused, index, name) if (!strcmp(json_string_value(name), action)) return true;
    return false;
}

static const struct bw_action *find_action(const struct bw_attempt *attempt, struct bw_slice uses, struct bw_error *err)
{
    const struct bw_catalog *catalog = attempt->run->event->catalog;
    const char *at = memchr(uses.ptr, '@', uses.len), *names[NAMES_MAX];
    struct bw_slice name = {uses.ptr, at ? (size_t)(at - uses.ptr) : uses.len};
    unsigned long major = at ? strtoul(at + 1, NULL, 10) : 0;
    size_t count = 0;
    for (size_t i = 0; i < catalog->action_count; i++) {
        if (bw_slice_is(name, catalog->actions[i]->name) && catalog->actions[i]->major == major) return catalog->actions[i];
        if (count < NAMES_MAX) names[count++] = catalog->actions[i]->name;
    }
    count = bw_offers_unused(catalog, names, count, NAMES_MAX);
    const char *near = bw_suggest(name, names, count);
    bw_error_set(err, "action.unknown", "there is no action %.*s", (int)uses.len, uses.ptr);
    if (near && bw_slice_is(name, near) && is_unused(catalog, near)) /* its name came with the data alone */
        bw_error_hint(err, "it is there when a workflow or bellwire.yaml has its name: write it into this one");
    else if (near)
        bw_error_hint(err, "did you mean '%s', with its version as in crm/find@1?", near);
    else
        bw_error_hint(err, "see: bellwire actions");
    return NULL;
}

/* A step of the workflow that uses it would not have been loaded without. */
static bool is_granted(const struct bw_attempt *attempt, const struct bw_action *action, struct bw_error *err)
{
    const struct bw_workflow *workflow = attempt->run->entry->workflow;
    for (size_t i = 0; i < action->secret_count; i++) {
        size_t k = 0;
        while (k < workflow->secret_count && !bw_slice_is(workflow->secrets[k], action->secrets[i])) k++;
        if (k < workflow->secret_count) continue;
        bw_error_set(err, "action.secret_not_granted", "the action %s needs the secret %s, which this workflow does not grant", action->name,
                     action->secrets[i]);
        bw_error_hint(err, "add it to the workflow: secrets: [%s]", action->secrets[i]);
        return false;
    }
    return true;
}

/* Into `out`, with its defaults. */
static bool check_input(const struct bw_action *action, struct bw_slice given, struct bw_buf *out, struct bw_error *err)
{
    json_t *input = bw_json_load(given, err);
    bool good = json_is_object(input) && (!action->inputs || bw_schema_check(action->inputs, input, false, "input", err));
    if (input && !json_is_object(input)) bw_error_set(err, "input.type", "the input of an action is an object");
    if (good) bw_json_append(out, input);
    json_decref(input);
    return good;
}

bool bw_parts_offer(const struct bw_attempt *attempt, struct bw_slice uses, struct bw_slice input, struct bw_buf *out, struct bw_error *err)
{
    struct bw_slice workflow;
    struct bw_buf checked = {0};
    if (bw_parts_is_call(uses, &workflow)) return bw_parts_offer_workflow(attempt, workflow, input, out, err);
    const struct bw_action *action = find_action(attempt, uses, err);
    bool good = action && (!input.len || check_input(action, input, &checked, err));
    if (good) bw_json_append(out, action->manifest);
    bw_buf_free(&checked);
    return good;
}

void bw_parts_run(struct bw_attempt *attempt, struct bw_slice name, struct bw_slice uses, struct bw_slice given)
{
    struct bw_inner *inner = calloc(1, sizeof *inner);
    struct bw_slice workflow;
    struct bw_error err;
    char key[BW_IDEMPOTENCY_KEY_TEXT];
    if (!inner) exit(70);
    attempt->inner = inner;
    bw_parts_path(attempt, name, inner->path);
    inner->started_ms = bw_clock_wall_ms();
    if (bw_parts_is_call(uses, &workflow)) {
        bw_buf_append_slice(&inner->input, given);
        bw_parts_call(attempt, workflow);
        return;
    }
    inner->action = find_action(attempt, uses, &err);
    if (!inner->action || !is_granted(attempt, inner->action, &err) || !check_input(inner->action, given, &inner->input, &err)) {
        bw_parts_ended(attempt, NULL, &err, BW_CLASS_INPUT);
        return;
    }
    bw_idempotency_key(attempt->run->uid, inner->path, 0, key);
    if (inner->action->source.len) {
        bw_step_start_inner(attempt, key);
    } else if (bw_attempt_worker(attempt)->trial) {
        bw_error_set(&err, "test.not_mocked", "the test must say what comes of %s: mocks: {\"%s\": {output: {…}}}", inner->action->name, inner->path);
        bw_parts_ended(attempt, NULL, &err, BW_CLASS_PERMANENT);
    } else {
        bw_step_call_plugin(attempt, inner->action, bw_buf_slice(&inner->input), key, bw_attempt_left_ms(attempt), false);
    }
}

void bw_inner_free(struct bw_attempt *attempt)
{
    if (!attempt->inner) return;
    bw_step_free_task(attempt->run, &attempt->inner->task, &attempt->inner->shared);
    bw_buf_free(&attempt->inner->input);
    free(attempt->inner);
    attempt->inner = NULL;
}

void bw_parts_ended(struct bw_attempt *attempt, const struct bw_slice *output, const struct bw_error *failure, enum bw_error_class class)
{
    const struct bw_inner *inner = attempt->inner;
    struct bw_error err;
    if (output && inner->action->outputs) {
        json_t *value = bw_json_load(*output, &err);
        if (!value || !bw_schema_check(inner->action->outputs, value, true, "output", &err)) output = NULL;
        json_decref(value);
        if (!output) failure = &err, class = BW_CLASS_OUTPUT;
    }
    if (output && bw_parts_is_too_large(attempt, *output, &err)) output = NULL, failure = &err, class = BW_CLASS_OUTPUT;
    struct bw_step_part *part =
        bw_parts_add(attempt->run, attempt->step, inner->path, output ? BW_STATE_SUCCEEDED : BW_STATE_FAILED, inner->started_ms);
    if (output)
        bw_redact_append(&part->output, *output);
    else
        bw_error_to_json(&part->error, failure, class, bw_attempt_step(attempt)->path);
    attempt->run->kept_bytes += part->output.len;
    bw_inner_free(attempt);
    record(attempt, part);
}
