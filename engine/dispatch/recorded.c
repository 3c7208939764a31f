#include "dispatch/recorded.h"
#include "dispatch/children.h"
#include "store/collection.h"
#include <stdlib.h>

/* Takes what was appended to recorded->bytes since `start`. */
static bool add_part(struct bw_recorded *recorded, const char *key, size_t start)
{
    recorded->too_many = recorded->part_count + 2 >= BW_FRAME_PARTS_MAX;
    if (recorded->too_many) return false;
    bw_buf_printf(&recorded->head, ",\"%s\":%zu", key, recorded->part_count);
    recorded->parts[recorded->part_count++] = (struct bw_slice){(const char *)start, recorded->bytes.len - start};
    return true;
}

static bool add_context(void *arg, struct bw_slice context)
{
    bw_buf_append_slice(arg, context);
    return true;
}

/* Who has started the run, and with what. */
static bool append_child(struct bw_recorded *recorded, const struct bw_child *child)
{
    char parent[BW_UID_TEXT];
    size_t start = recorded->bytes.len;
    bw_buf_append_text(&recorded->head, ",\"child\":{\"path\":");
    bw_buf_append_json_string(&recorded->head, child->path);
    bw_buf_printf(&recorded->head, ",\"parent\":\"%s\",\"item\":%u,\"depth\":%u,\"call\":%s%s", bw_uid_text(child->parent, BW_UID_RUN, parent),
                  child->item, child->depth, child->is_call ? "true" : "false", child->is_sensitive ? ",\"sensitive\":true" : "");
    bw_buf_append_slice(&recorded->bytes, child->input);
    if (!add_part(recorded, "input_part", start)) return false;
    start = recorded->bytes.len;
    if (!child->is_call && !bw_reader_context(recorded->dispatch->reader, child->join, add_context, &recorded->bytes, &recorded->error))
        return !(recorded->has_failed = true);
    if (!child->is_call && !add_part(recorded, "context_part", start)) return false;
    bw_buf_append_char(&recorded->head, '}');
    return true;
}

/* What has become of the runs that the step has started. */
static bool append_children(struct bw_recorded *recorded, const struct bw_step_row *step)
{
    struct bw_buf items = {0};
    size_t start = recorded->bytes.len;
    bw_buf_append_text(&recorded->head, ",\"children\":{");
    bool good = bw_join_append_ends(recorded->dispatch->reader, &step->children, &recorded->head, &items, &recorded->error);
    recorded->has_failed = !good;
    bw_buf_append_slice(&recorded->bytes, bw_buf_slice(&items));
    if (items.failed) recorded->bytes.failed = true;
    good = good && (!items.len || add_part(recorded, "items_part", start));
    bw_buf_free(&items);
    bw_buf_append_char(&recorded->head, '}');
    return good;
}

static void append_wake(struct bw_recorded *recorded, const struct bw_wake *wake)
{
    size_t i = 0;
    if (!wake->kind) return;
    if (wake->kind == BW_WAKE_EVENT) {
        while (i < recorded->wake_event_count && recorded->wake_events[i] != wake->event_id) i++;
        if (i == BW_WAKE_EVENTS_MAX) return;
        recorded->wake_events[i] = wake->event_id;
        if (i == recorded->wake_event_count) recorded->wake_event_count++;
    }
    bw_buf_printf(&recorded->head, ",\"wake\":{\"kind\":%d,\"arm\":%u,\"at_ms\":%lld,\"event\":%lld", wake->kind, wake->arm, (long long)wake->at_ms,
                  (long long)wake->event_id);
    if (wake->kind == BW_WAKE_VOTE) {
        bw_buf_append_text(&recorded->head, ",\"choice\":");
        bw_buf_append_json_string(&recorded->head, wake->choice);
        bw_buf_append_text(&recorded->head, ",\"by\":");
        bw_buf_append_json_string(&recorded->head, wake->by);
        bw_buf_append_text(&recorded->head, ",\"form\":");
        bw_buf_append_slice(&recorded->head, wake->form.len ? wake->form : BW_SLICE("{}"));
        bw_buf_append_text(&recorded->head, ",\"votes\":");
        bw_buf_append_slice(&recorded->head, wake->votes.len ? wake->votes : BW_SLICE("[]"));
    }
    bw_buf_append_char(&recorded->head, '}');
}

/* All but the last one, which is the event that the run is handed out with. */
static bool append_collected(void *arg, const struct bw_event *event)
{
    struct bw_recorded *recorded = arg;
    char uid[BW_UID_TEXT];
    struct bw_buf *head = &recorded->collected;
    recorded->too_many = recorded->part_count + 3 >= BW_FRAME_PARTS_MAX;
    recorded->has_damaged |= event->is_damaged;
    if (recorded->too_many || recorded->has_damaged) return false;
    bw_buf_printf(head, "%s{\"uid\":\"%s\",\"at_ms\":%lld,\"trusted\":%s,\"body_part\":%zu,\"headers_part\":%zu,\"name\":", head->len ? "," : "",
                  bw_uid_text(event->uid, BW_UID_EVENT, uid), (long long)event->at_ms, event->trusted ? "true" : "false", recorded->part_count,
                  recorded->part_count + 1);
    bw_buf_append_json_string(head, event->name);
    bw_buf_append_text(head, ",\"source\":");
    bw_buf_append_json_string(head, event->source);
    bw_buf_append_char(head, '}');
    recorded->parts[recorded->part_count++] = (struct bw_slice){(const char *)recorded->bytes.len, event->body.len};
    bw_buf_append_slice(&recorded->bytes, event->body);
    recorded->parts[recorded->part_count++] = (struct bw_slice){(const char *)recorded->bytes.len, event->headers.len};
    bw_buf_append_slice(&recorded->bytes, event->headers);
    return true;
}

/* An event that woke a step: the step's output is made from it. */
static bool append_wake_event(void *arg, const struct bw_event *event)
{
    struct bw_recorded *recorded = arg;
    char uid[BW_UID_TEXT];
    struct bw_buf *head = &recorded->head;
    if (recorded->part_count + 2 >= BW_FRAME_PARTS_MAX) {
        recorded->too_many = true;
        return false;
    }
    if (head->data[head->len - 1] == '}') bw_buf_append_char(head, ',');
    bw_buf_printf(head, "{\"id\":%lld,\"uid\":\"%s\",\"at_ms\":%lld,\"trusted\":%s,\"body_part\":%zu,\"name\":", (long long)event->id,
                  bw_uid_text(event->uid, BW_UID_EVENT, uid), (long long)event->at_ms, event->trusted ? "true" : "false", recorded->part_count);
    bw_buf_append_json_string(head, event->name);
    bw_buf_append_text(head, ",\"source\":");
    bw_buf_append_json_string(head, event->source);
    bw_buf_append_char(head, '}');
    recorded->parts[recorded->part_count++] = (struct bw_slice){(const char *)recorded->bytes.len, event->is_damaged ? 0 : event->body.len};
    if (!event->is_damaged) bw_buf_append_slice(&recorded->bytes, event->body);
    return true;
}

static bool add_recorded_run(void *arg, const struct bw_run *run)
{
    struct bw_recorded *recorded = arg;
    char uid[BW_UID_TEXT];
    struct bw_buf *head = &recorded->head;
    recorded->is_live = run->row.state == BW_RUN_ACTIVE && run->is_woken;
    bw_buf_clear(&recorded->workflow);
    bw_buf_append_slice(&recorded->workflow, run->row.workflow);
    bw_buf_printf(head, "%s{\"uid\":\"%s\",\"workflow\":", head->data[head->len - 1] == '}' ? "," : "", bw_uid_text(run->row.uid, BW_UID_RUN, uid));
    bw_buf_append_json_string(head, run->row.workflow);
    bw_buf_printf(head, ",\"state\":%d,\"woken\":%s,\"overdue\":%s,\"lost\":%u,\"started_ms\":%lld,\"resumed_ms\":%lld", run->row.state,
                  run->is_woken ? "true" : "false", run->is_overdue ? "true" : "false", run->row.lost, (long long)run->row.started_ms,
                  (long long)run->resumed_ms);
    if (run->cancel.len) {
        bw_buf_append_text(head, ",\"cancelled\":");
        bw_buf_append_slice(head, run->cancel);
    }
    bw_buf_append_text(head, ",\"steps\":[");
    size_t step_count = run->row.state >= BW_RUN_SUCCEEDED ? 0 : run->row.step_count; /* of one that has ended nobody goes on */
    for (size_t i = 0; i < step_count; i++) {
        const struct bw_step_row *step = &run->row.steps[i];
        bw_buf_append_text(head, i ? ",{\"path\":" : "{\"path\":");
        bw_buf_append_json_string(head, step->path);
        bw_buf_printf(head, ",\"state\":%d,\"attempt\":%u,\"started_ms\":%lld", step->state, step->attempt, (long long)step->started_ms);
        if (step->ended_ms) bw_buf_printf(head, ",\"ended_ms\":%lld", (long long)step->ended_ms);
        if (step->due_ms) bw_buf_printf(head, ",\"due_ms\":%lld", (long long)step->due_ms);
        if (step->is_again) bw_buf_printf(head, ",\"again\":true,\"children_total\":%u", step->children.total);
        append_wake(recorded, &step->wake);
        if (step->wake.kind == BW_WAKE_CHILD && !append_children(recorded, step)) return false;
        if (step->output.len) {
            if (recorded->part_count + 2 >= BW_FRAME_PARTS_MAX) {
                recorded->too_many = true;
                return false;
            }
            bw_buf_printf(head, ",\"output_part\":%zu", recorded->part_count);
            recorded->parts[recorded->part_count++] = (struct bw_slice){(const char *)recorded->bytes.len, step->output.len};
            bw_buf_append_slice(&recorded->bytes, step->output);
        }
        if (step->error.len) {
            bw_buf_append_text(head, ",\"error\":");
            bw_buf_append_slice(head, step->error);
        }
        bw_buf_append_char(head, '}');
    }
    bw_buf_append_char(head, ']');
    if (recorded->is_live && run->collector_id && (!run->child.join || run->child.needs_events)) recorded->collector_id = run->collector_id;
    if (recorded->is_live && run->child.join && !append_child(recorded, &run->child)) return false;
    bw_buf_append_char(head, '}');
    return true;
}

/* ,"runs":[…],"wake_events":[…] */
bool bw_recorded_read(struct bw_dispatch *dispatch, const struct bw_job *job, struct bw_recorded *recorded, struct bw_error *err)
{
    struct bw_run_filter filter = {.event_id = job->event->event_id, .limit = 10000, .with_steps = true};
    bool found;
    bw_buf_append_text(&recorded->head, ",\"runs\":[");
    if (job->number < 0 ? !bw_reader_run(dispatch->reader, job->run, add_recorded_run, recorded, &found, err)
                        : !bw_reader_runs(dispatch->reader, &filter, add_recorded_run, recorded, err))
        return false;
    if (recorded->has_failed) {
        *err = recorded->error;
        return false;
    }
    bw_buf_append_text(&recorded->head, "],\"wake_events\":[");
    for (size_t i = 0; i < recorded->wake_event_count; i++)
        if (!bw_reader_event_by_id(dispatch->reader, recorded->wake_events[i], true, append_wake_event, recorded, &found, err)) return false;
    bw_buf_append_char(&recorded->head, ']');
    if (job->number > 0 || !recorded->collector_id) return true;
    if (!bw_reader_collected(dispatch->reader, recorded->collector_id, job->event->event_id, true, append_collected, recorded, err)) return false;
    bw_buf_append_text(&recorded->head, ",\"collected\":[");
    bw_buf_append_slice(&recorded->head, bw_buf_slice(&recorded->collected));
    bw_buf_append_char(&recorded->head, ']');
    if (recorded->collected.failed || recorded->bytes.failed) return bw_error_set(err, "memory", "out of memory");
    return true;
}

void bw_recorded_free(struct bw_recorded *recorded)
{
    if (!recorded) return;
    bw_buf_free(&recorded->head);
    bw_buf_free(&recorded->workflow);
    bw_buf_free(&recorded->collected);
    bw_buf_free(&recorded->bytes);
    free(recorded);
}
