/* What a test came to, as the store has it: the same rows that `bellwire runs show` reads. */
#include "store/collection.h"
#include "trial/internal.h"
#include "wire/messages.h"
#include <stdio.h>
#include <string.h>

#define RUNS_MAX 100000

struct gathering {
    json_t *runs, *emitted; /* oldest first */
    int64_t first_event;
    char collected[BW_UID_TEXT]; /* the run that was made of the first event and others; or empty */
    struct bw_slice workflow;
};

static void set_json(json_t *object, const char *key, struct bw_slice text)
{
    json_t *value = text.len ? bw_json_load(text, NULL) : NULL;
    if (value) json_object_set_new(object, key, value);
}

static bool add_run(void *arg, const struct bw_run *run)
{
    struct gathering *gathering = arg;
    char uid[BW_UID_TEXT], parent[BW_UID_TEXT];
    json_t *one = json_object(), *steps = json_object();
    json_object_set_new(one, "uid", json_string(bw_uid_text(run->row.uid, BW_UID_RUN, uid)));
    json_object_set_new(one, "workflow", json_stringn(run->row.workflow.ptr, run->row.workflow.len));
    json_object_set_new(one, "event", json_integer(run->event_id));
    json_object_set_new(one, "state", json_string(bw_run_state_name(run->row.state)));
    if (run->row.ended_ms) json_object_set_new(one, "took", json_integer(run->row.ended_ms - run->row.started_ms));
    set_json(one, "outputs", run->row.output);
    set_json(one, "error", run->row.error);
    if (run->child.join) {
        json_object_set_new(one, "parent", json_string(bw_uid_text(run->child.parent, BW_UID_RUN, parent)));
        json_object_set_new(one, "path", json_stringn(run->child.path.ptr, run->child.path.len));
        if (!run->child.is_call) json_object_set_new(one, "item", json_integer(run->child.item + 1));
    }
    for (size_t i = 0; i < run->row.step_count; i++) {
        const struct bw_step_row *row = &run->row.steps[i];
        json_t *step = json_pack("{s:s,s:i}", "state", bw_step_state_name(row->state), "attempts", (int)row->attempt);
        char path[200];
        set_json(step, "output", row->output);
        if (row->is_sensitive) json_object_set_new(step, "sensitive", json_true());
        set_json(step, "error", row->error);
        snprintf(path, sizeof path, "%.*s", (int)row->path.len, row->path.ptr);
        json_object_set_new(steps, path, step);
    }
    json_object_set_new(one, "steps", steps);
    json_array_insert_new(gathering->runs, 0, one);
    return true;
}

static bool add_emitted(void *arg, const struct bw_event *event)
{
    struct gathering *gathering = arg;
    struct bw_slice prefix = BW_SLICE(BW_EMIT_SOURCE);
    if (event->id < gathering->first_event) return false;
    if (event->source.len < prefix.len || memcmp(event->source.ptr, prefix.ptr, prefix.len) != 0) return true;
    json_t *one = json_pack("{s:s%}", "event", event->name.ptr, event->name.len);
    set_json(one, "data", event->body);
    json_array_insert_new(gathering->emitted, 0, one);
    return true;
}

static bool note_collection(void *arg, const struct bw_collection *collection)
{
    struct gathering *gathering = arg;
    if (!collection->due_ms && bw_slice_equal(collection->workflow, gathering->workflow))
        bw_uid_text(collection->run, BW_UID_RUN, gathering->collected);
    return true;
}

static const json_t *find_run(const json_t *runs, const char *uid)
{
    size_t index;
    json_t *run;
    json_array_foreach(runs, index, run) if (!strcmp(bw_json_str(run, "uid", ""), uid)) return run;
    return NULL;
}

/* As `bellwire run` calls its steps: fan[2].get is the step get of the second item. Only what the run under test has started. */
static bool name_of(const json_t *runs, const json_t *run, const json_t *top, struct bw_buf *out)
{
    const json_t *parent = find_run(runs, bw_json_str(run, "parent", ""));
    int64_t item = bw_json_int(run, "item", 0);
    if (run == top) return true;
    if (!parent || !name_of(runs, parent, top, out)) return false;
    bw_buf_append_text(out, bw_json_str(run, "path", ""));
    if (item) bw_buf_printf(out, "[%lld]", (long long)item);
    bw_buf_append_char(out, '.');
    return true;
}

static void add_steps(json_t *steps, const json_t *runs, const json_t *run, const json_t *top, const json_t *inputs)
{
    struct bw_buf name = {0};
    const char *path;
    json_t *step;
    if (name_of(runs, run, top, &name)) {
        size_t len = name.len;
        json_object_foreach(json_object_get(run, "steps"), path, step)
        {
            json_t *with = json_object_get(json_object_get(inputs, bw_json_str(run, "uid", "")), path);
            if (with) json_object_set(step, "with", with);
            name.len = len;
            bw_buf_append_text(&name, path);
            json_object_set(steps, name.data, step);
        }
    }
    bw_buf_free(&name);
}

json_t *bw_trial_outcome(struct bw_reader *reader, int64_t first_event, struct bw_slice workflow, const json_t *inputs, struct bw_error *err)
{
    struct gathering gathering = {.runs = json_array(), .emitted = json_array(), .first_event = first_event, .workflow = workflow};
    const struct bw_run_filter filter = {.limit = RUNS_MAX, .with_steps = true, .with_children = true};
    json_t *outcome = NULL, *run, *steps = json_object(), *top = NULL;
    size_t index;
    if (!bw_reader_runs(reader, &filter, add_run, &gathering, err) ||
        !bw_reader_events(reader, (struct bw_slice){0}, 0, RUNS_MAX, true, add_emitted, &gathering, err) ||
        !bw_reader_collections(reader, first_event, note_collection, &gathering, err))
        goto out;
    json_array_foreach(gathering.runs, index, run)
    {
        bool is_ours = bw_json_int(run, "event", 0) == first_event && !json_object_get(run, "parent");
        is_ours |= !strcmp(bw_json_str(run, "uid", ""), gathering.collected);
        if (is_ours && bw_slice_is(workflow, bw_json_str(run, "workflow", ""))) top = run;
    }
    outcome = top ? json_copy(top) : json_pack("{s:s}", "state", "none");
    json_array_foreach(gathering.runs, index, run) if (top) add_steps(steps, gathering.runs, run, top, inputs);
    json_object_set(outcome, "steps", steps);
    json_object_set(outcome, "emitted", gathering.emitted);
out:
    json_decref(steps);
    json_decref(gathering.runs);
    json_decref(gathering.emitted);
    return outcome;
}
