/* Runs in runs, from both ends: a step that starts runs and waits for them, and a run that a step has started.
 *
 * The step hands its items over with its WAITING row; from there on the store starts and counts them (store/children.h), and the run is woken when
 * all is done. What the items read from outside travels with them as their context: {inputs, locals, steps}. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/json_view.h"
#include "worker/internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_BYTES_MAX (8u << 20) /* of all items together, before the step's `outputs` has trimmed them */

/* ---- what a run is called with ---- */

/* Only what it names is read: nothing else of the data can be in the way. */
static json_t *same_named(const struct bw_workflow *workflow, struct bw_slice data, struct bw_error *err)
{
    struct bw_json_view from = bw_json_view_of(data), found;
    json_t *inputs = json_object();
    struct bw_error why;
    if (bw_json_view_type(from) != BW_JSON_OBJECT) return inputs;
    for (size_t i = 0; i < workflow->input_count; i++) {
        if (!bw_json_view_get(from, workflow->input_names[i], &found)) continue;
        json_t *value = bw_json_load(found.raw, &why);
        if (!value) {
            bw_error_set(err, "input.type", "%s: %s", workflow->input_names[i].ptr, why.message);
            json_decref(inputs);
            return NULL;
        }
        json_object_set_new(inputs, workflow->input_names[i].ptr, value);
    }
    return inputs;
}

static bool add_defaults(const struct bw_workflow *workflow, struct bw_script *script, json_t *inputs, struct bw_error *err)
{
    struct bw_buf text = {0};
    bool good = true;
    for (size_t i = 0; good && i < workflow->input_count; i++) {
        if (!workflow->input_defaults[i] || json_object_get(inputs, workflow->input_names[i].ptr)) continue;
        bw_buf_clear(&text);
        good = bw_script_render(script, workflow->input_defaults[i], &(struct bw_render){0}, &text, err);
        json_t *value = good ? bw_json_load(bw_buf_slice(&text), err) : NULL;
        good = value != NULL;
        if (json_is_null(value))
            json_decref(value); /* as if nothing was given */
        else if (value)
            json_object_set_new(inputs, workflow->input_names[i].ptr, value);
    }
    bw_buf_free(&text);
    return good;
}

bool bw_inputs_make(const struct bw_worker_event *event, const struct bw_catalog_workflow *entry, struct bw_script *script, struct bw_slice given,
                    struct bw_buf *out, struct bw_error *err)
{
    const struct bw_workflow *workflow = entry->workflow;
    bool good;
    json_t *inputs;
    if (given.len)
        inputs = bw_json_load(given, err);
    else if (event->workflow.len && event->body_is_json)
        inputs = same_named(workflow, event->body, err);
    else
        inputs = json_object();
    if (!inputs) {
        bw_error_at(err, workflow->file.ptr, workflow->mark.line, workflow->mark.column);
        return false;
    }
    if (!entry->inputs) {
        good = !json_object_size(inputs) || bw_error_set(err, "input.unknown", "the workflow %s has no inputs", workflow->name.ptr);
        if (!good) bw_error_hint(err, "declare them there: inputs: {NAME: {type: string}}");
    } else {
        good = add_defaults(workflow, script, inputs, err) && bw_schema_check(entry->inputs, inputs, false, "input", err);
    }
    if (!good) bw_error_at(err, workflow->file.ptr, workflow->mark.line, workflow->mark.column);
    bw_json_append(out, inputs);
    json_decref(inputs);
    return good;
}

bool bw_run_make_inputs(struct bw_run *run, struct bw_error *err)
{
    bool is_called = run->child && bw_json_bool(run->child, "call", false);
    if (run->child && !is_called) return true; /* an item has those of the run that it belongs to */
    struct bw_slice given = is_called ? bw_json_slice(json_object_get(run->child, "input_text")) : (struct bw_slice){0};
    if (is_called && !given.len) given = BW_SLICE("{}");
    bw_note_enter(run->event, run->uid, BW_SLICE("inputs"), 0);
    bool good = bw_inputs_make(run->event, run->entry, bw_run_script(run), given, &run->inputs, err);
    bw_note_leave(run->event->worker);
    return good;
}

/* ---- a run that is an item ---- */

static int64_t find_step(const struct bw_workflow *workflow, struct bw_slice path)
{
    for (size_t i = 0; i < workflow->step_count; i++)
        if (bw_slice_equal(workflow->steps[i].path, path)) return (int64_t)i;
    return -1;
}

static void append_locals(struct bw_buf *out, const struct bw_step *step, struct bw_slice outer, struct bw_slice item, size_t number)
{
    bw_buf_append_char(out, '{');
    if (outer.len > 2) { /* its members; of two with one name the later one counts */
        bw_buf_append(out, outer.ptr + 1, outer.len - 2);
        bw_buf_append_char(out, ',');
    }
    bw_buf_append_text(out, "\"item\":");
    bw_buf_append_slice(out, item);
    if (!bw_slice_is(step->as, "item")) {
        bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, step->as);
        bw_buf_append_char(out, ':');
        bw_buf_append_slice(out, item);
    }
    bw_buf_printf(out, ",\"index\":%zu}", number + 1);
}

static bool restore_outer(struct bw_run *run, const json_t *step, struct bw_error *err)
{
    int64_t index = find_step(run->entry->workflow, bw_json_slice(json_object_get(step, "path")));
    struct bw_slice output = bw_json_slice(json_object_get(step, "output")), error = bw_json_slice(json_object_get(step, "error"));
    if (index < 0) return true;
    struct bw_step_result *result = &run->results[index];
    result->state = (int)bw_json_int(step, "state", BW_STATE_SKIPPED);
    result->is_reported = true;
    bw_buf_append_slice(&result->output, output);
    bw_buf_append_slice(&result->error, error);
    enum bw_step_status status = result->state == BW_STATE_SUCCEEDED ? BW_STATUS_SUCCEEDED
                                 : result->state == BW_STATE_FAILED  ? BW_STATUS_FAILED
                                 : result->state == BW_STATE_UNKNOWN ? BW_STATUS_UNKNOWN
                                                                     : BW_STATUS_SKIPPED;
    return bw_script_set_step(bw_run_script(run), (size_t)index, status, output, error, err);
}

bool bw_run_restore_item(struct bw_run *run, struct bw_error *err)
{
    const struct bw_workflow *workflow = run->entry->workflow;
    int64_t index = find_step(workflow, bw_json_slice(json_object_get(run->child, "path")));
    json_t *context, *step;
    size_t i;
    bool good = true;
    if (bw_json_bool(run->child, "call", false)) return true;
    if (index < 0 || workflow->steps[index].kind != BW_STEP_FOREACH ||
        !(context = bw_json_load(bw_json_slice(json_object_get(run->child, "context_text")), err)))
        return bw_error_set(err, "foreach.context", "this version of the workflow has not the step that started the run");
    run->first_open = run->first = (size_t)index + 1;
    run->limit = workflow->steps[index].end;
    run->results[index].state = BW_STATE_ENTERED;
    run->results[index].is_reported = true;
    bw_buf_append_slice(&run->inputs, bw_json_slice(json_object_get(context, "inputs")));
    append_locals(&run->locals, &workflow->steps[index], bw_json_slice(json_object_get(context, "locals")),
                  bw_json_slice(json_object_get(run->child, "input_text")), (size_t)bw_json_int(run->child, "item", 0));
    json_array_foreach(json_object_get(context, "steps"), i, step) good = good && restore_outer(run, step, err);
    json_decref(context);
    return good;
}

bool bw_run_is_item(const struct bw_run *run)
{
    return run->child && !bw_json_bool(run->child, "call", false);
}

void bw_run_item_output(const struct bw_run *run, struct bw_buf *out)
{
    for (size_t i = run->limit; i-- > run->first;) {
        const struct bw_step *step = &run->entry->workflow->steps[i];
        bool is_own = step->body == (int32_t)run->first - 1 && !bw_step_is_block(step);
        if (!is_own || run->results[i].state != BW_STATE_SUCCEEDED || step->kind == BW_STEP_STOP || step->notifies >= 0) continue;
        bw_buf_append_slice(out, bw_buf_slice(&run->results[i].output));
        return;
    }
}

/* ---- starting ---- */

static bool place_error(const struct bw_attempt *attempt, struct bw_error *err)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    return bw_error_at(err, attempt->run->entry->workflow->file.ptr, step->mark.line, step->mark.column), false;
}

static bool render(const struct bw_attempt *attempt, const struct bw_template *from, struct bw_buf *out, struct bw_error *err)
{
    bool is_with = bw_attempt_step(attempt)->kind == BW_STEP_CALL;
    const struct bw_render with = {.config = is_with ? bw_values_text(bw_attempt_worker(attempt)) : (struct bw_slice){0}};
    bw_note_enter_step(attempt->run, attempt->step, 0);
    bool good = !from || bw_script_render(bw_run_script_at(attempt->run, attempt->step), from, &with, out, err);
    bw_note_leave(bw_attempt_worker(attempt));
    if (!from) bw_buf_append_text(out, "{}");
    if (good && out->len > BW_INPUT_BYTES_MAX) {
        good = bw_error_set(err, bw_attempt_step(attempt)->kind == BW_STEP_CALL ? "input.too_large" : "foreach.too_large",
                            "what is handed over has %zu bytes, at most %u are allowed", out->len, BW_INPUT_BYTES_MAX);
        bw_error_hint(err, "hand over ids and let each run fetch what it needs");
        place_error(attempt, err);
    }
    return good;
}

static void pack(struct bw_buf *out, struct bw_slice item)
{
    const char length[4] = {(char)(item.len & 0xff), (char)(item.len >> 8 & 0xff), (char)(item.len >> 16 & 0xff), (char)(item.len >> 24 & 0xff)};
    bw_buf_append(out, length, sizeof length);
    bw_buf_append_slice(out, item);
}

static bool pack_list(const struct bw_attempt *attempt, struct bw_slice list, struct bw_join *join, struct bw_error *err)
{
    struct bw_json_view view = bw_json_view_of(list), value;
    struct bw_json_iter iter;
    struct bw_slice key;
    if (bw_json_view_type(view) != BW_JSON_ARRAY) {
        bool is_empty_table = bw_slice_is(view.raw, "{}"); /* Lua writes {} for both */
        if (is_empty_table) return true;
        bw_error_set(err, "foreach.no_list", "foreach needs a list, its expression gave %.60s", list.len ? list.ptr : "nothing");
        bw_error_hint(err, "if there may be none, write for example ${{ event.data.pages or list{} }}");
        return place_error(attempt, err);
    }
    iter = bw_json_view_iter(view);
    while (bw_json_iter_next(&iter, &key, &value)) {
        if (++join->total > BW_WORKFLOW_ITEMS_MAX) {
            bw_error_set(err, "foreach.too_many", "the list has more than %d items", BW_WORKFLOW_ITEMS_MAX);
            bw_error_hint(err, "hand over parts of it: a list of lists, with a foreach inside");
            return place_error(attempt, err);
        }
        pack(&join->items, value.raw);
    }
    return !join->items.failed || bw_error_set(err, "memory", "out of memory");
}

static void append_text(struct bw_buf *out, const char *key, struct bw_slice text)
{
    bw_buf_append_text(out, key);
    bw_buf_append_json_string(out, text);
}

/* JSON in JSON strings: the item takes them as the texts that they are. */
static void append_context(const struct bw_attempt *attempt, struct bw_buf *out)
{
    const struct bw_run *run = attempt->run;
    const struct bw_step *step = bw_attempt_step(attempt);
    bool is_first = true;
    append_text(out, "{\"inputs\":", bw_buf_slice(&run->inputs));
    append_text(out, ",\"locals\":", bw_buf_slice(&run->locals));
    bw_buf_append_text(out, ",\"steps\":[");
    for (size_t i = 0; i < run->entry->workflow->step_count; i++) {
        const struct bw_step_result *result = &run->results[i];
        if (!step->reads || !step->reads[i] || result->state < BW_STATE_SUCCEEDED) continue;
        append_text(out, is_first ? "{\"path\":" : ",{\"path\":", run->entry->workflow->steps[i].path);
        bw_buf_printf(out, ",\"state\":%d", result->state);
        append_text(out, ",\"output\":", bw_buf_slice(&result->output));
        append_text(out, ",\"error\":", bw_buf_slice(&result->error));
        bw_buf_append_char(out, '}');
        is_first = false;
    }
    bw_buf_append_text(out, "]}");
}

static struct bw_catalog_workflow *find_callee(const struct bw_attempt *attempt)
{
    return bw_catalog_workflow_named(attempt->run->event->catalog, bw_attempt_step(attempt)->callee);
}

static uint32_t allowed_of(const struct bw_step *step, uint32_t total)
{
    uint32_t share = (uint32_t)floor((double)total * step->tolerate_percent / 100.0 + 1e-9);
    return share > step->tolerate ? share : step->tolerate;
}

static bool is_too_deep(const struct bw_attempt *attempt, uint32_t depth, struct bw_error *err)
{
    if (depth <= BW_WORKFLOW_CALLS_MAX) return false;
    bw_error_set(err, "call.too_deep", "this run stands %d runs deep: at most %d are allowed", depth, BW_WORKFLOW_CALLS_MAX);
    bw_error_hint(err, "look for a workflow that calls itself, or for foreach in foreach");
    place_error(attempt, err);
    return true;
}

struct bw_join *bw_join_of_call(const struct bw_attempt *attempt, struct bw_slice path, struct bw_catalog_workflow *callee, struct bw_slice given,
                                struct bw_error *err)
{
    struct bw_join *join = calloc(1, sizeof *join);
    if (!join) exit(70);
    *join = (struct bw_join){.entry = callee, .total = 1, .concurrency = 1, .depth = attempt->run->depth + 1};
    pack(&join->items, given);
    if (!is_too_deep(attempt, join->depth, err) && bw_admission_call(attempt, path, callee, given, &join->admission, err)) return join;
    bw_join_free(join);
    return NULL;
}

static bool fill_join(struct bw_attempt *attempt, struct bw_join *join, struct bw_error *err)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_buf rendered = {0};
    bool is_call = step->kind == BW_STEP_CALL, good = true;
    if (is_call || !bw_attempt_result(attempt)->children_total) good = render(attempt, is_call ? step->with : step->set, &rendered, err);
    join->entry = is_call ? find_callee(attempt) : attempt->run->entry;
    join->concurrency = is_call ? 1 : step->concurrency;
    join->depth = attempt->run->depth + 1;
    join->is_reopened = bw_attempt_result(attempt)->children_total > 0;
    if (good && !join->entry) good = bw_error_set(err, "call.unknown", "there is no workflow %s", step->callee.ptr);
    good = good && !is_too_deep(attempt, join->depth, err);
    if (good && is_call) {
        join->total = 1;
        pack(&join->items, bw_buf_slice(&rendered));
        good = bw_admission_call(attempt, step->path, join->entry, bw_buf_slice(&rendered), &join->admission, err);
    } else if (good) {
        if (join->is_reopened)
            join->total = bw_attempt_result(attempt)->children_total; /* of the list that it has begun with */
        else
            good = pack_list(attempt, bw_buf_slice(&rendered), join, err);
        append_context(attempt, &join->context);
        join->allowed = allowed_of(step, join->total);
    }
    bw_buf_free(&rendered);
    if (good && join->context.len > BW_INPUT_BYTES_MAX) {
        bw_error_set(err, "foreach.too_large", "what the items read from outside has %zu bytes, at most %u are allowed", join->context.len,
                     BW_INPUT_BYTES_MAX);
        good = place_error(attempt, err);
    }
    return good;
}

void bw_join_free(struct bw_join *join)
{
    if (!join) return;
    bw_buf_free(&join->items);
    bw_buf_free(&join->context);
    free(join);
}

void bw_step_begin_children(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_step_result *result = bw_attempt_result(attempt);
    struct bw_join *join = calloc(1, sizeof *join);
    struct bw_error err;
    char output[64], uid[BW_UID_TEXT];
    if (!join) exit(70);
    result->attempt = 1;
    result->started_ms = bw_clock_wall_ms();
    bw_trace_step(run, attempt->step, "step_started", 0);
    if (!fill_join(attempt, join, &err)) {
        bw_join_free(join);
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
    } else if (!join->total) {
        bw_join_free(join);
        bw_step_succeed(attempt, BW_SLICE("{\"total\":0,\"succeeded\":0,\"failed\":0,\"failed_keys\":[],\"items\":[]}"));
    } else if (step->is_detached) {
        result->join = join;
        run->owes_report = true;
        int len = snprintf(output, sizeof output, "{\"run\":\"%s\"}", bw_uid_text(bw_uid_of_child(run->uid, step->path, 0), BW_UID_RUN, uid));
        bw_step_succeed(attempt, (struct bw_slice){output, (size_t)len});
    } else {
        result->join = join;
        result->state = BW_STATE_WAITING;
        run->owes_report = true; /* the items start with it, whatever else the run is at */
        bw_wait_hold(attempt, 0);
    }
}

/* ---- the end of all of them ---- */

static bool append_key(const struct bw_attempt *attempt, struct bw_slice item, size_t number, struct bw_buf *out, struct bw_error *err)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    const struct bw_template key = {.kind = BW_TEMPLATE_EXPR, .expr = (uint32_t)step->key};
    struct bw_buf locals = {0};
    if (step->key < 0) {
        bw_buf_printf(out, "%zu", number + 1);
        return true;
    }
    append_locals(&locals, step, bw_buf_slice(&attempt->run->locals), item, number);
    bool good = bw_script_render(bw_run_script_at(attempt->run, attempt->step), &key, &(struct bw_render){.locals = bw_buf_slice(&locals)}, out, err);
    bw_buf_free(&locals);
    return good;
}

/* The list is made anew from recorded outputs: it is what it was. failed: ascending numbers. */
static bool append_keys(const struct bw_attempt *attempt, const json_t *failed, struct bw_buf *out, struct bw_error *err)
{
    struct bw_buf list = {0};
    struct bw_json_view value;
    struct bw_slice key;
    size_t next = 0, count = json_array_size(failed);
    bool good = !count || render(attempt, bw_attempt_step(attempt)->set, &list, err);
    struct bw_json_iter iter = bw_json_view_iter(bw_json_view_of(good && count ? bw_buf_slice(&list) : BW_SLICE("[]")));
    bw_note_enter_step(attempt->run, attempt->step, 0);
    bw_buf_append_char(out, '[');
    for (size_t i = 0; good && next < count && bw_json_iter_next(&iter, &key, &value); i++) {
        if ((size_t)json_integer_value(json_array_get(failed, next)) != i) continue;
        if (next++) bw_buf_append_char(out, ',');
        good = append_key(attempt, value.raw, i, out, err);
    }
    bw_buf_append_char(out, ']');
    bw_note_leave(bw_attempt_worker(attempt));
    bw_buf_free(&list);
    return good;
}

static void join_foreach(struct bw_attempt *attempt, const json_t *children)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    uint32_t total = (uint32_t)bw_json_int(children, "total", 0), succeeded = (uint32_t)bw_json_int(children, "succeeded", 0),
             failed = (uint32_t)bw_json_int(children, "failed", 0), allowed = allowed_of(step, total);
    struct bw_slice items = bw_json_slice(json_object_get(children, "items_text"));
    struct bw_buf output = {0};
    struct bw_error err;
    if (failed > allowed) {
        const json_t *error = json_object_get(children, "error");
        bw_error_set(&err, "foreach.failed", "%u of %u items failed, %u %s tolerated, %u were not started; the first failure: %s [%s]", failed, total,
                     allowed, allowed == 1 ? "is" : "are", total - succeeded - failed, bw_json_str(error, "message", ""),
                     bw_json_str(error, "code", ""));
        bw_error_hint(&err, "see: bellwire runs show %s", bw_json_str(children, "failed_run", ""));
        place_error(attempt, &err);
        bw_step_fail(attempt, &err, BW_CLASS_PERMANENT, -1);
        return;
    }
    bw_buf_printf(&output, "{\"total\":%u,\"succeeded\":%u,\"failed\":%u,\"failed_keys\":", total, succeeded, failed);
    bool good = append_keys(attempt, json_object_get(children, "failed_items"), &output, &err);
    size_t max = step->outputs ? OUTPUT_BYTES_MAX : bw_attempt_worker(attempt)->max_output_bytes;
    if (!items.len || output.len + items.len + 32 > max) {
        bw_buf_append_text(&output, ",\"items_left_out\":true}");
    } else {
        bw_buf_append_text(&output, ",\"items\":");
        bw_buf_append_slice(&output, items);
        bw_buf_append_char(&output, '}');
    }
    if (good)
        bw_step_succeed(attempt, bw_buf_slice(&output));
    else
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
    bw_buf_free(&output);
}

int bw_join_call_end(const json_t *children, struct bw_slice *output, struct bw_error *err)
{
    int64_t state = bw_json_int(children, "state", BW_STATE_FAILED);
    const json_t *error = json_object_get(children, "error");
    struct bw_slice items = bw_json_slice(json_object_get(children, "items_text"));
    struct bw_json_view value;
    *output = BW_SLICE("{}");
    if (state == BW_STATE_SUCCEEDED && items.len && bw_json_view_at(bw_json_view_of(items), 0, &value) && !bw_slice_is(value.raw, "null"))
        *output = value.raw;
    if (state == BW_STATE_SKIPPED || state == BW_STATE_SUCCEEDED) return (int)state;
    bw_error_set(err, bw_json_str(error, "code", state == BW_STATE_CANCELLED ? "call.cancelled" : "call.failed"), "%s",
                 bw_json_str(error, "message", "the workflow was cancelled"));
    bw_error_hint(err, "see: bellwire runs show %s", bw_json_str(children, "failed_run", ""));
    if (json_object_get(error, "file"))
        bw_error_at(err, bw_json_str(error, "file", ""), (int)bw_json_int(error, "line", 0), (int)bw_json_int(error, "column", 0));
    return BW_STATE_FAILED;
}

static void join_call(struct bw_attempt *attempt, const json_t *children)
{
    struct bw_slice output;
    struct bw_error err;
    int state = bw_join_call_end(children, &output, &err);
    if (state == BW_STATE_SKIPPED)
        bw_step_skip(attempt);
    else if (state == BW_STATE_SUCCEEDED)
        bw_step_succeed(attempt, output);
    else
        bw_step_fail(attempt, &err, BW_CLASS_PERMANENT, -1);
}

void bw_step_resume_children(struct bw_attempt *attempt)
{
    struct bw_step_result *result = bw_attempt_result(attempt);
    const json_t *wake = result->wake;
    result->wake = NULL;
    if (!wake)
        bw_wait_hold(attempt, 0); /* something else woke the run */
    else if (bw_attempt_step(attempt)->kind == BW_STEP_FOREACH)
        join_foreach(attempt, result->children);
    else
        join_call(attempt, result->children);
}
