/* A revision is stored for ever, and may have been stored by a version of Bellwire that took what this one refuses. What had begun under it cannot go
 * on here: its run ends, with the error that the loader has found, and can be resumed under a revision that loads, or by the version before. */
#include "base/clock.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_VERSION "0000000000000000000000000000000000000000000000000000000000000000" /* nobody can say what it is made of */

struct bw_refusal {
    char *workflow; /* "": nobody knows its name */
    bool is_offer;  /* a file of actions, which workflows may need */
    struct bw_error why;
};

/* ---- what was refused ---- */

static void add(struct bw_catalog *catalog, struct bw_slice workflow, bool is_offer, const struct bw_error *why)
{
    struct bw_refusal *grown = realloc(catalog->refusals, (catalog->refusal_count + 1) * sizeof *grown);
    char *name = bw_slice_dup(workflow.len ? workflow : BW_SLICE(""));
    if (!grown || !name) exit(70); /* no memory: another worker takes over */
    catalog->refusals = grown;
    grown[catalog->refusal_count++] = (struct bw_refusal){.workflow = name, .is_offer = is_offer, .why = *why};
}

void bw_refusals_add(struct bw_catalog *catalog, struct bw_slice workflow, const struct bw_error *why)
{
    add(catalog, workflow, false, why);
}

void bw_refusals_begin(struct bw_catalog *catalog, const struct bw_message *message, const struct bw_errors *offers)
{
    size_t index;
    json_t *lost;
    for (size_t i = 0; i < offers->count; i++) add(catalog, BW_SLICE(""), true, &offers->items[i]);
    json_array_foreach(json_object_get(message->head, "refused"), index, lost)
    {
        struct bw_error why = bw_json_error(lost);
        add(catalog, BW_SLICE(""), strcmp(bw_json_str(lost, "kind", ""), BW_FILE_WORKFLOW) != 0, &why);
    }
}

void bw_refusals_free(struct bw_catalog *catalog)
{
    for (size_t i = 0; i < catalog->refusal_count; i++) free(catalog->refusals[i].workflow);
    free(catalog->refusals);
}

/* "crm/find" stands in …/crm/find.lua, as a rule. */
static bool is_file_of(const char *file, struct bw_slice action)
{
    size_t len = strlen(file), tail = action.len + strlen(".lua");
    if (len < tail || strcmp(file + len - strlen(".lua"), ".lua") != 0) return false;
    return !memcmp(file + len - tail, action.ptr, action.len) && (len == tail || file[len - tail - 1] == '/');
}

bool bw_refusals_of_action(const struct bw_catalog *catalog, struct bw_slice action, struct bw_error *why)
{
    for (size_t i = 0; i < catalog->refusal_count; i++) {
        if (!catalog->refusals[i].is_offer || !is_file_of(catalog->refusals[i].why.file, action)) continue;
        *why = catalog->refusals[i].why;
        return true;
    }
    return false;
}

json_t *bw_refusals_describe(const struct bw_catalog *catalog)
{
    json_t *described = json_array();
    for (size_t i = 0; i < catalog->refusal_count; i++) {
        const struct bw_refusal *refusal = &catalog->refusals[i];
        struct bw_buf text = {0};
        if (refusal->is_offer) continue;
        bw_error_to_json(&text, &refusal->why, BW_CLASS_BUG, (struct bw_slice){0});
        json_array_append_new(described, json_pack("{s:s,s:o*}", "workflow", refusal->workflow, "error", bw_json_load(bw_buf_slice(&text), NULL)));
        bw_buf_free(&text);
    }
    return described;
}

/* By its name; else it stands in a file of which nobody knows the names, if there is one. */
static const struct bw_refusal *refusal_of(const struct bw_catalog *catalog, struct bw_slice workflow)
{
    const struct bw_refusal *unnamed = NULL;
    for (size_t i = 0; i < catalog->refusal_count; i++) {
        const struct bw_refusal *refusal = &catalog->refusals[i];
        if (refusal->is_offer) continue;
        if (bw_slice_is(workflow, refusal->workflow)) return refusal;
        if (!*refusal->workflow && !unnamed) unnamed = refusal;
    }
    return unnamed;
}

/* ---- the end of a run ---- */

struct refused {
    char uid[BW_UID_TEXT];
    struct bw_slice workflow;
    const json_t *recorded; /* NULL: it had not begun */
    int state;
    struct bw_error err;
};

static void describe(const struct bw_catalog *catalog, struct bw_slice workflow, char *text, size_t size)
{
    const struct bw_refusal *refusal = refusal_of(catalog, workflow);
    if (refusal && !strcmp(refusal->why.code, "memory")) exit(70); /* another worker has more of it, perhaps */
    if (refusal)
        bw_error_text(&refusal->why, text, size);
    else
        snprintf(text, size, "the catalogue of then does not hold it");
}

/* Was it on its way to an end as cancelled? Then that is how it ends. */
static bool is_cancelled(const json_t *recorded, struct bw_error *err)
{
    const size_t suffix = strlen(BW_MARK_SUFFIX);
    const json_t *cancelled = json_object_get(recorded, "cancelled");
    const char *reason = bw_json_str(cancelled, "reason", "");
    size_t index;
    json_t *step;
    if (cancelled) {
        bw_error_set(err, "run.cancelled", *reason ? "the run was cancelled: %s" : "the run was cancelled%s", reason);
        return true;
    }
    json_array_foreach(json_object_get(recorded, "steps"), index, step)
    {
        const char *path = bw_json_str(step, "path", "");
        size_t len = strlen(path);
        if (len < suffix || strcmp(path + len - suffix, BW_MARK_SUFFIX) != 0 || bw_json_int(step, "state", 0) != BW_STATE_CANCELLED) continue;
        *err = bw_json_error(json_object_get(step, "error"));
        return true;
    }
    return false;
}

static void judge(const struct bw_worker_event *event, struct refused *run)
{
    const json_t *child = json_object_get(run->recorded, "child");
    const char *resumed = bw_json_str(child, "parent", run->uid);
    char why[1400];
    static const char refuses[] = "this version of Bellwire refuses the workflow as it was when the run began";
    describe(event->catalog, run->workflow, why, sizeof why);
    if (is_cancelled(run->recorded, &run->err)) {
        run->state = BW_STATE_CANCELLED;
        bw_error_set(&run->err, run->err.code, "%s; no `undo` or `finally` is run any more, as %s: %s", run->err.message, refuses, why);
        return;
    }
    run->state = BW_STATE_FAILED;
    bw_error_set(&run->err, "revision.refused", "%s, so nothing more of it is run, no `undo` or `finally` either: %s", refuses, why);
    bw_error_hint(&run->err,
                  "mend the workflow, then: bellwire runs resume %s --latest; or go back to the version of Bellwire before, then: bellwire runs "
                  "resume %s",
                  resumed, resumed);
}

static void append_error(struct bw_buf *head, const struct refused *run)
{
    bw_buf_append_text(head, ",\"error\":");
    bw_error_to_json(head, &run->err, run->state == BW_STATE_FAILED ? BW_CLASS_BUG : BW_CLASS_PERMANENT, (struct bw_slice){0});
}

/* For `bellwire run`: somebody waits to hear how it ends. */
static void trace(const struct bw_worker *worker, const struct refused *run)
{
    struct bw_buf head = {0};
    bw_buf_printf(&head, "{\"what\":\"run_finished\",\"run\":\"%s\",\"state\":%d,\"took_ms\":0,\"workflow\":", run->uid, run->state);
    bw_buf_append_json_string(&head, run->workflow);
    append_error(&head, run);
    bw_buf_append_char(&head, '}');
    if (!head.failed) bw_channel_send(worker->channel, BW_MSG_TRACE, bw_buf_slice(&head), NULL, 0);
    bw_buf_free(&head);
}

/* Steps that wait are ended by the store, with the run. The event may be freed. */
static void end(struct bw_worker_event *event, struct refused *run)
{
    struct bw_worker *worker = event->worker;
    struct bw_buf head = {0};
    int64_t now_ms = bw_clock_wall_ms();
    judge(event, run);
    if (worker->trace) trace(worker, run);
    bw_buf_printf(&head, "{\"report\":%lld,\"job\":%lld,\"done\":%s,\"ack\":false,\"matched\":%zu,\"runs\":[{\"uid\":\"%s\",\"workflow\":",
                  (long long)++worker->next_report, (long long)event->job, event->open_runs == 1 ? "true" : "false", event->matched, run->uid);
    bw_buf_append_json_string(&head, run->workflow);
    bw_buf_printf(&head, ",\"version\":\"" NO_VERSION "\",\"state\":%d,\"lost\":%d,\"started_ms\":%lld,\"ended_ms\":%lld,\"steps\":[]", run->state,
                  (int)bw_json_int(run->recorded, "lost", 0), (long long)bw_json_int(run->recorded, "started_ms", now_ms), (long long)now_ms);
    append_error(&head, run);
    bw_buf_append_text(&head, "}]}");
    if (head.failed || !bw_channel_send(worker->channel, BW_MSG_REPORT, bw_buf_slice(&head), NULL, 0)) exit(70);
    bw_buf_free(&head);
    bw_event_run_ended(event);
}

static void end_recorded(struct bw_worker_event *event, const json_t *recorded)
{
    struct refused run = {.workflow = bw_json_slice(json_object_get(recorded, "workflow")), .recorded = recorded};
    snprintf(run.uid, sizeof run.uid, "%s", bw_json_str(recorded, "uid", ""));
    end(event, &run);
}

void bw_refused_resume(struct bw_worker_event *event)
{
    struct refused run = {.workflow = bw_json_slice(json_object_get(event->head, "resume")),
                          .recorded = json_array_get(json_object_get(event->head, "runs"), 0)};
    snprintf(run.uid, sizeof run.uid, "%s", bw_json_str(run.recorded, "uid", ""));
    end(event, &run);
}

/* It had begun, and nobody but this event goes on with it. */
static bool is_left(const struct bw_worker_event *event, const json_t *recorded)
{
    struct bw_slice workflow = bw_json_slice(json_object_get(recorded, "workflow"));
    return bw_json_int(recorded, "state", 0) == BW_STATE_ACTIVE && !bw_json_bool(recorded, "woken", false) && workflow.len &&
           !bw_catalog_workflow_named(event->catalog, workflow);
}

/* The event was sent for it, and it has no row yet. */
static bool is_named(const struct bw_worker_event *event)
{
    size_t index;
    json_t *recorded;
    if (!event->workflow.len || bw_catalog_workflow_named(event->catalog, event->workflow)) return false;
    json_array_foreach(json_object_get(event->head, "runs"), index, recorded)
    {
        if (bw_slice_equal(bw_json_slice(json_object_get(recorded, "workflow")), event->workflow)) return false;
    }
    return true;
}

/* One of its own that had ended, or that goes on without it. */
static bool is_settled(const struct bw_worker_event *event, const json_t *recorded)
{
    struct bw_slice workflow = bw_json_slice(json_object_get(recorded, "workflow"));
    char own[BW_UID_TEXT];
    return workflow.len && !bw_catalog_workflow_named(event->catalog, workflow) && !is_left(event, recorded) &&
           !strcmp(bw_json_str(recorded, "uid", ""), bw_uid_text(bw_uid_of_run(event->uid, workflow), BW_UID_RUN, own));
}

size_t bw_refused_settled(const struct bw_worker_event *event)
{
    size_t index, count = 0;
    json_t *recorded;
    json_array_foreach(json_object_get(event->head, "runs"), index, recorded) count += is_settled(event, recorded);
    return count;
}

size_t bw_refused_count(const struct bw_worker_event *event)
{
    size_t index, count = is_named(event);
    json_t *recorded;
    json_array_foreach(json_object_get(event->head, "runs"), index, recorded) count += is_left(event, recorded);
    return count;
}

void bw_refused_report(struct bw_worker_event *event)
{
    size_t left = bw_refused_count(event), index;
    json_t *recorded, *runs = json_incref(json_object_get(event->head, "runs")); /* the last end may free the event */
    if (is_named(event)) {
        struct refused run = {.workflow = event->workflow};
        bw_uid_text(bw_uid_of_run(event->uid, event->workflow), BW_UID_RUN, run.uid);
        left--;
        end(event, &run);
    }
    json_array_foreach(runs, index, recorded)
    {
        if (!left) break;
        if (!is_left(event, recorded)) continue;
        left--;
        end_recorded(event, recorded);
    }
    json_decref(runs);
}
