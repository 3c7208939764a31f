#include "dispatch/tool_runs.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include <string.h>

struct look {
    struct bw_tool_run_query *query;
    bool is_ours; /* the event came by that source, as a call */
    int64_t event_id;
    const json_t *workflows;
};

void bw_tool_run_query_clear(struct bw_tool_run_query *query)
{
    bw_buf_free(&query->output);
    bw_buf_free(&query->error);
    bw_buf_free(&query->waits_for);
}

void bw_tool_error_append(struct bw_buf *out, const json_t *error, const char *otherwise)
{
    const char *step = bw_json_str(error, "step", NULL);
    bw_buf_append_text(out, "{\"code\":");
    bw_buf_append_json_string(out, bw_slice_of(bw_json_str(error, "code", otherwise)));
    bw_buf_append_text(out, ",\"message\":");
    bw_buf_append_json_string(out, bw_slice_of(bw_json_str(error, "message", "")));
    if (step) {
        bw_buf_append_text(out, ",\"step\":");
        bw_buf_append_json_string(out, bw_slice_of(step));
    }
    bw_buf_append_char(out, '}');
}

/* By the catalogue of now: a step of an older version that has another name there is one that waits, and no more is said. */
static bool is_approval(const json_t *workflows, struct bw_slice workflow, struct bw_slice step)
{
    size_t index, inner;
    json_t *one, *path;
    json_array_foreach(workflows, index, one)
    {
        if (!bw_slice_equal(bw_json_slice(json_object_get(one, "name")), workflow)) continue;
        json_array_foreach(json_object_get(json_object_get(one, "tool"), "approvals"), inner, path)
        {
            if (bw_slice_equal(bw_json_slice(path), step)) return true;
        }
    }
    return false;
}

static void append_waits(const struct bw_run *run, const json_t *workflows, struct bw_buf *out)
{
    char until[32];
    for (size_t i = 0; i < run->row.step_count; i++) {
        const struct bw_step_row *step = &run->row.steps[i];
        if (step->state != BW_STEP_WAITING || step->wake.kind) continue;
        bw_buf_append_text(out, out->len ? ",{\"step\":" : "[{\"step\":");
        bw_buf_append_json_string(out, step->path);
        bw_buf_append_text(out, ",\"for\":");
        bw_buf_append_json_string(out, bw_slice_of(is_approval(workflows, run->row.workflow, step->path) ? "what a person decides"
                                                   : step->children.total                                ? "runs that it has begun"
                                                                                                         : "a time or an event"));
        bw_clock_text(step->due_ms, until);
        if (step->due_ms) bw_buf_printf(out, ",\"until\":\"%s\"", until);
        bw_buf_append_char(out, '}');
    }
    if (out->len) bw_buf_append_char(out, ']');
}

static bool on_run(void *arg, const struct bw_run *run)
{
    struct look *look = arg;
    struct bw_tool_run_query *query = look->query;
    const struct bw_run_row *row = &run->row;
    json_t *error = row->error.len ? bw_json_load(row->error, NULL) : NULL;
    if (!run->child.join) {
        look->event_id = run->event_id;
        query->found = BW_TOOL_RUN_FOUND;
        query->status = bw_run_state_name(row->state);
        query->is_over = row->state >= BW_RUN_SUCCEEDED;
        query->is_good = row->state == BW_RUN_SUCCEEDED || (row->state == BW_RUN_SKIPPED && !error);
        if (query->is_good) bw_buf_append_slice(&query->output, row->output.len ? row->output : BW_SLICE("{}"));
        if (query->is_over && !query->is_good) bw_tool_error_append(&query->error, error, query->status);
        if (!query->is_over) append_waits(run, look->workflows, &query->waits_for);
    }
    json_decref(error);
    return false;
}

static bool is_call_of(const struct bw_tool_run_query *query, struct bw_slice source, struct bw_slice workflow)
{
    return workflow.len && bw_slice_equal(source, query->source);
}

static bool on_event(void *arg, const struct bw_event *event)
{
    struct look *look = arg;
    struct bw_tool_run_query *query = look->query;
    look->is_ours = is_call_of(query, event->source, event->workflow);
    if (bw_uid_is_zero(query->event)) return false;
    json_t *before = bw_json_load(event->body, NULL), *nothing = json_object();
    if (!json_equal(before, query->given ? query->given : nothing)) query->found = BW_TOOL_RUN_OTHER_ARGUMENTS;
    json_decref(before);
    json_decref(nothing);
    return false;
}

/* A run that has written nothing yet is known by its event alone. */
static bool is_in_hand(const struct bw_dispatch *dispatch, const struct bw_tool_run_query *query)
{
    size_t position = 0;
    struct bw_slice key;
    void *value;
    while (dispatch->jobs && bw_map_next(dispatch->jobs, &position, &key, &value)) {
        const struct bw_accepted *event = ((const struct bw_job *)value)->event;
        if (event && is_call_of(query, event->source, event->workflow) && bw_uid_equal(bw_uid_of_run(event->uid, event->workflow), query->run))
            return true;
    }
    return false;
}

static void set_unknown(struct bw_tool_run_query *query)
{
    query->found = BW_TOOL_RUN_UNKNOWN;
    bw_buf_clear(&query->output);
    bw_buf_clear(&query->error);
    bw_buf_clear(&query->waits_for);
}

static bool look_for(struct bw_tool_run_query *query, struct bw_error *err)
{
    struct bw_dispatch *dispatch = query->dispatch;
    struct look look = {.query = query, .workflows = dispatch->workflows};
    bool is_there;
    if (!bw_reader_run(dispatch->reader, query->run, on_run, &look, &is_there, err)) return false;
    if (query->found == BW_TOOL_RUN_FOUND) {
        if (!bw_reader_event_by_id(dispatch->reader, look.event_id, !bw_uid_is_zero(query->event), on_event, &look, &is_there, err)) return false;
        if (!look.is_ours) set_unknown(query);
        return true;
    }
    if (!bw_uid_is_zero(query->event)) {
        if (!bw_reader_event(dispatch->reader, query->event, on_event, &look, &is_there, err)) return false;
        if (query->found == BW_TOOL_RUN_OTHER_ARGUMENTS && look.is_ours) return true;
    }
    query->status = "active";
    query->found = is_in_hand(dispatch, query) ? BW_TOOL_RUN_FOUND : dispatch->is_behind ? BW_TOOL_RUN_LATER : BW_TOOL_RUN_UNKNOWN;
    return true;
}

void bw_tool_run_mail(struct bw_mail *mail)
{
    struct bw_tool_run_query *query = (struct bw_tool_run_query *)((char *)mail - offsetof(struct bw_tool_run_query, mail));
    const struct bw_dispatch *dispatch = query->dispatch;
    struct bw_error err;
    query->found = BW_TOOL_RUN_LATER;
    if (!dispatch->is_stopped && !dispatch->is_failed && dispatch->reader && !look_for(query, &err)) {
        bw_log_error(BW_LOG_WARN, "dispatch.tool_run", &err);
        query->found = BW_TOOL_RUN_LATER;
    }
    if (query->output.failed || query->error.failed || query->waits_for.failed) query->found = BW_TOOL_RUN_LATER;
    query->done(query);
}

void bw_dispatch_ask_tool_run(struct bw_dispatch *dispatch, struct bw_tool_run_query *query)
{
    query->dispatch = dispatch;
    query->mail.kind = BW_MAIL_TOOL_RUN;
    bw_mailbox_post(dispatch->mailbox, &query->mail);
}
