/* Parts of a step that are calls of workflows: what is wrong with one is said before there is a run, the others wait with their runs (part_wait.c).
 */
#include "base/clock.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

/* Of a workflow, whose name is taken off. */
bool bw_parts_is_call(struct bw_slice uses, struct bw_slice *workflow)
{
    size_t len = strlen(BW_CALL_PREFIX);
    if (uses.len < len || memcmp(uses.ptr, BW_CALL_PREFIX, len) != 0) return false;
    *workflow = (struct bw_slice){uses.ptr + len, uses.len - len};
    return true;
}

/* An earlier worker has seen it end with its run, which was resumed since: the run that it has started goes on, instead of another one. */
static bool is_known(const struct bw_run *run, const char *path)
{
    return bw_json_int(bw_parts_row(run, path), "children_total", 0) > 0;
}

static bool is_filled_in(const struct bw_workflow *workflow, struct bw_slice pointer)
{
    for (size_t i = 0; i < workflow->input_count; i++)
        if (workflow->input_defaults[i] && pointer.len &&
            bw_slice_equal(workflow->input_names[i], (struct bw_slice){pointer.ptr + 1, pointer.len - 1}))
            return true;
    return false;
}

/* What is wrong with it is told before there is a run that fails. Defaults that are expressions are filled in by that run. */
static bool check_given(const struct bw_catalog_workflow *callee, struct bw_slice given, struct bw_error *err)
{
    json_t *input = bw_json_load(given, err);
    bool good = json_is_object(input);
    struct bw_buf pointer = {0};
    if (input && !good) {
        bw_error_set(err, "input.type", "what a workflow is called with is an object");
    } else if (good && given.len > BW_INPUT_BYTES_MAX) {
        good = bw_error_set(err, "input.too_large", "what is handed over has %zu bytes, at most %u are allowed", given.len, BW_INPUT_BYTES_MAX);
    } else if (good && callee->inputs) {
        good = bw_schema_check_placed(callee->inputs, input, "input", &pointer, err) ||
               (!strcmp(err->code, "input.missing") && is_filled_in(callee->workflow, bw_buf_slice(&pointer)));
    } else if (good && json_object_size(input)) {
        good = bw_error_set(err, "input.unknown", "the workflow %s has no inputs", callee->workflow->name.ptr);
    }
    bw_buf_free(&pointer);
    json_decref(input);
    return good;
}

/* NULL: it cannot be made, and nothing has changed. */
static struct bw_join *make_call(const struct bw_attempt *attempt, const char *path, struct bw_slice workflow, struct bw_slice given,
                                 struct bw_error *err)
{
    struct bw_catalog_workflow *callee = bw_parts_may_wait(attempt, err) ? bw_catalog_callee(attempt->run->event->catalog, workflow, err) : NULL;
    bool good = callee && check_given(callee, given, err);
    struct bw_join *join = good ? bw_join_of_call(attempt, bw_slice_of(path), callee, given, err) : NULL;
    if (join) join->is_reopened = is_known(attempt->run, path);
    return join;
}

static void add_call(struct bw_attempt *attempt, const char *path, struct bw_join *join)
{
    struct bw_step_part *part = bw_parts_add(attempt->run, attempt->step, path, BW_STATE_WAITING, bw_clock_wall_ms());
    part->ended_ms = 0;
    part->join = join;
    bw_trace_part(attempt->run, attempt->step, part);
}

void bw_parts_call(struct bw_attempt *attempt, struct bw_slice workflow)
{
    const struct bw_inner *inner = attempt->inner;
    bool is_there = bw_parts_at(attempt->run, inner->path) != NULL;
    struct bw_error err;
    struct bw_join *join = is_there ? NULL : make_call(attempt, inner->path, workflow, bw_buf_slice(&inner->input), &err);
    if (!join && !is_there) {
        bw_parts_ended(attempt, NULL, &err, BW_CLASS_INPUT);
        return;
    }
    if (join) add_call(attempt, inner->path, join);
    bw_parts_give_way(attempt);
}

struct call {
    char path[BW_PART_PATH_BYTES];
    struct bw_join *join; /* NULL: it is waited for already */
};

static bool read_call(const struct bw_attempt *attempt, const json_t *from, struct call *call, struct bw_error *err)
{
    struct bw_slice uses = bw_json_slice(json_object_get(from, "uses")), workflow;
    struct bw_buf given = {0};
    if (!bw_parts_is_call(uses, &workflow)) {
        bw_error_set(err, "call.unknown", "a call has a name, uses: workflow/NAME and input");
        return false;
    }
    bw_parts_path(attempt, bw_json_slice(json_object_get(from, "name")), call->path);
    if (bw_parts_at(attempt->run, call->path)) return true;
    if (json_object_get(from, "input"))
        bw_json_append(&given, json_object_get(from, "input"));
    else
        bw_buf_append_text(&given, "{}");
    call->join = make_call(attempt, call->path, workflow, bw_buf_slice(&given), err);
    bw_buf_free(&given);
    return call->join != NULL;
}

void bw_parts_call_all(struct bw_attempt *attempt, struct bw_slice text)
{
    struct bw_error err;
    struct call *calls = calloc(BW_PARTS_TOGETHER_MAX, sizeof *calls);
    json_t *list = bw_json_load(text, &err), *from;
    size_t index, count = 0;
    if (!calls) exit(70);
    bool good = list != NULL;
    if (good && json_array_size(list) > BW_PARTS_TOGETHER_MAX)
        good = bw_error_set(&err, "call.too_many", "at most %d workflows can be called at once", BW_PARTS_TOGETHER_MAX);
    json_array_foreach(good ? list : NULL, index, from) /* either all of them are begun or none */
    {
        if (!(good = good && read_call(attempt, from, &calls[count], &err))) break;
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        if (good && calls[i].join && !bw_parts_at(attempt->run, calls[i].path))
            add_call(attempt, calls[i].path, calls[i].join);
        else
            bw_join_free(calls[i].join);
    }
    json_decref(list);
    free(calls);
    if (good)
        bw_parts_give_way(attempt);
    else
        bw_parts_answer_error(attempt, &err);
}

bool bw_parts_offer_workflow(const struct bw_attempt *attempt, struct bw_slice name, struct bw_slice input, struct bw_buf *out, struct bw_error *err)
{
    const struct bw_catalog_workflow *callee = bw_catalog_callee(attempt->run->event->catalog, name, err);
    if (!callee || (input.len && !check_given(callee, input, err))) return false;
    const struct bw_workflow *workflow = callee->workflow;
    bw_buf_append_text(out, "{\"name\":\"" BW_CALL_PREFIX);
    bw_buf_append_slice(out, workflow->name);
    bw_buf_append_text(out, "\",\"effect\":\"write\",\"doc\":");
    bw_buf_append_json_string(out, workflow->description);
    bw_buf_append_text(out, ",\"inputs\":");
    json_t *fields = bw_json_load(workflow->inputs.len ? workflow->inputs : BW_SLICE("{}"), NULL);
    for (size_t i = 0; i < workflow->input_count; i++) /* whoever calls need not give what has a default */
        if (workflow->input_defaults[i]) json_object_del(json_object_get(fields, workflow->input_names[i].ptr), "required");
    bw_json_append(out, fields);
    json_decref(fields);
    bw_buf_append_char(out, '}');
    return !out->failed || bw_error_set(err, "memory", "out of memory");
}
