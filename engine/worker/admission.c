/* Runs that may have to wait before they begin: the worker says by what they are counted, since keys are expressions; the store says when they begin.
 */
#include "base/codec.h"
#include "base/units.h"
#include "worker/internal.h"
#include <math.h>
#include <openssl/sha.h>

/* Who starts a workflow by hand, or by its schedule, starts a run of its own. */
bool bw_admission_collects(const struct bw_worker_event *event, const struct bw_workflow *workflow)
{
    return workflow->collect.max_events && !event->workflow.len;
}

void bw_admission_paused(struct bw_worker *worker, const json_t *head)
{
    json_decref(worker->paused);
    worker->paused = json_incref(json_object_get(head, "workflows"));
}

static bool is_paused(const struct bw_worker *worker, struct bw_slice workflow)
{
    size_t index;
    json_t *name;
    json_array_foreach(worker->paused, index, name) if (bw_slice_equal(bw_json_slice(name), workflow)) return true;
    return false;
}

bool bw_admission_is_asked_by_call(const struct bw_workflow *workflow)
{
    return workflow->concurrency.limit || workflow->rate.count || workflow->delay || workflow->delay_ms || workflow->start_within_ms;
}

/* Triggers are looked at by workers of the default pool: what others are to execute goes through the store. */
static bool is_handed_over(const struct bw_worker *worker, const struct bw_workflow *workflow)
{
    return worker->hands_over && workflow->pool.len && bw_map_get(worker->pools, workflow->pool);
}

bool bw_admission_is_asked(const struct bw_worker_event *event, const struct bw_workflow *workflow)
{
    return is_handed_over(event->worker, workflow) || is_paused(event->worker, workflow->name) || bw_admission_collects(event, workflow) ||
           bw_admission_is_asked_by_call(workflow);
}

bool bw_admission_has_expressions(const struct bw_workflow *workflow)
{
    return workflow->concurrency.key || workflow->rate.key || workflow->priority || workflow->delay;
}

struct asking {
    struct bw_worker_event *event;
    struct bw_catalog_workflow *entry;
    const struct bw_workflow *workflow;
    bool collects;
    struct bw_slice given;    /* what it is called with; empty: an event starts it */
    struct bw_script *script; /* NULL: nothing is to be evaluated */
};

static bool render(const struct asking *asking, const struct bw_template *value, struct bw_buf *out, struct bw_error *err)
{
    return bw_script_render(asking->script, value, &(struct bw_render){0}, out, err);
}

/* A letter for what is counted, a name, the value of the key. */
static bool make_group(const struct asking *asking, char letter, struct bw_slice name, const struct bw_template *key, char hex[BW_GROUP_HEX],
                       struct bw_error *err)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    struct bw_buf group = {0};
    bw_buf_append_char(&group, letter);
    bw_buf_append_slice(&group, name);
    bw_buf_append_char(&group, '\0');
    bool good = !key || render(asking, key, &group, err);
    if (good && group.failed) good = bw_error_set(err, "memory", "out of memory");
    if (good) {
        SHA256((const unsigned char *)group.data, group.len, hash);
        bw_hex_encode(hash, sizeof hash, hex);
    }
    bw_buf_free(&group);
    return good;
}

static bool make_priority(const struct asking *asking, int32_t *priority, struct bw_error *err)
{
    const struct bw_workflow *workflow = asking->workflow;
    struct bw_buf text = {0};
    *priority = workflow->priority_s;
    if (!workflow->priority) return true;
    bool good = render(asking, workflow->priority, &text, err);
    json_t *value = good ? bw_json_load(bw_buf_slice(&text), err) : NULL;
    double seconds = json_is_number(value) ? json_number_value(value) : NAN;
    if (good && !(seconds >= -BW_WORKFLOW_PRIORITY_MAX && seconds <= BW_WORKFLOW_PRIORITY_MAX)) {
        good = bw_error_set(err, "priority.value", "`priority` gave %.40s", text.len ? text.data : "nothing");
        bw_error_hint(err, "it must give seconds: a number from -%d to %d", BW_WORKFLOW_PRIORITY_MAX, BW_WORKFLOW_PRIORITY_MAX);
        bw_error_at(err, workflow->file.ptr, workflow->priority->mark.line, workflow->priority->mark.column);
    }
    if (good) *priority = (int32_t)seconds;
    json_decref(value);
    bw_buf_free(&text);
    return good;
}

static bool make_delay(const struct asking *asking, int64_t *delay_ms, struct bw_error *err)
{
    const struct bw_workflow *workflow = asking->workflow;
    struct bw_buf text = {0};
    *delay_ms = workflow->delay_ms;
    if (!workflow->delay) return true;
    bool good = render(asking, workflow->delay, &text, err);
    json_t *value = good ? bw_json_load(bw_buf_slice(&text), err) : NULL;
    if (good && (!json_is_string(value) || !bw_duration_parse(bw_json_slice(value), delay_ms, err))) {
        good = bw_error_set(err, "delay.value", "`delay` gave %.40s", text.len ? text.data : "nothing");
        bw_error_hint(err, "it must give a duration of at most 366d: delay: \"${{ event.data.minutes }}m\"");
        bw_error_at(err, workflow->file.ptr, workflow->delay->mark.line, workflow->delay->mark.column);
    }
    json_decref(value);
    bw_buf_free(&text);
    return good;
}

static bool make_all(const struct asking *asking, struct bw_admission *out, struct bw_error *err)
{
    const struct bw_workflow *workflow = asking->workflow;
    const struct bw_concurrency *concurrency = &workflow->concurrency;
    bool is_shared = concurrency->scope.len > 0;
    if (asking->collects && !make_group(asking, 'c', workflow->name, workflow->collect.key, out->collect_group, err)) return false;
    if (workflow->rate.count && !make_group(asking, 'r', workflow->name, workflow->rate.key, out->rate_group, err)) return false;
    if (concurrency->limit &&
        (!make_group(asking, is_shared ? 'g' : 'w', is_shared ? concurrency->scope : workflow->name, concurrency->key, out->slot_group, err) ||
         !make_priority(asking, &out->priority, err)))
        return false;
    return make_delay(asking, &out->delay_ms, err);
}

/* What is needed of the run is there before the run is. */
static bool evaluate(struct asking *asking, struct bw_uid run, struct bw_admission *out, struct bw_error *err)
{
    struct bw_run_scope scope;
    struct bw_buf inputs = {0};
    char run_text[BW_UID_TEXT];
    asking->script = bw_scripts_take(asking->event->worker, asking->entry, err);
    bw_event_scope(asking->event, bw_uid_text(run, BW_UID_RUN, run_text), &scope);
    bool good = asking->script != NULL;
    if (good) bw_script_begin_run(asking->script, &scope);
    if (good && asking->workflow->admission_reads_inputs) {
        good = bw_inputs_make(asking->event, asking->entry, asking->script, asking->given, &inputs, err);
        bw_script_set_names(asking->script, bw_buf_slice(&inputs), (struct bw_slice){0});
    }
    good = good && make_all(asking, out, err);
    bw_scripts_return(asking->event->worker, asking->entry, asking->script);
    bw_buf_free(&inputs);
    return good;
}

bool bw_admission_ask(struct bw_worker_event *event, struct bw_catalog_workflow *entry, struct bw_error *err)
{
    const struct bw_workflow *workflow = entry->workflow;
    struct asking asking = {.event = event, .entry = entry, .workflow = workflow, .collects = bw_admission_collects(event, workflow)};
    struct bw_admission admission = {.delay_ms = 0};
    struct bw_uid run = bw_uid_of_run(event->uid, workflow->name);
    bool good = true;
    if (workflow->collect.key || bw_admission_has_expressions(workflow)) {
        bw_note_enter(event, run, BW_SLICE("trigger"), 0);
        good = evaluate(&asking, run, &admission, err);
        bw_note_leave(event->worker);
    } else {
        good = make_all(&asking, &admission, err);
    }
    if (good) {
        bw_report_admission(event, entry, &admission);
        bw_event_run_ended(event);
    }
    return good;
}

bool bw_admission_call(const struct bw_attempt *attempt, struct bw_slice path, struct bw_catalog_workflow *callee, struct bw_slice given,
                       struct bw_admission *admission, struct bw_error *err)
{
    const struct bw_workflow *workflow = callee->workflow;
    struct bw_run *run = attempt->run;
    struct asking asking = {.event = run->event, .entry = callee, .workflow = workflow, .given = given};
    if (!bw_admission_is_asked_by_call(workflow)) return true;
    if (!bw_admission_has_expressions(workflow)) return make_all(&asking, admission, err);
    bw_note_enter_step(run, attempt->step, 0);
    bool good = evaluate(&asking, bw_uid_of_child(run->uid, path, 0), admission, err);
    bw_note_leave(run->event->worker);
    return good;
}
