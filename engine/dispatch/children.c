#include "dispatch/children.h"
#include "base/codec.h"

static bool read_slot(const json_t *from, struct bw_slot_new *slot)
{
    size_t len = 0;
    if (!from) return true;
    slot->most = (uint32_t)bw_json_int(from, "most", 1);
    slot->when_full = (enum bw_when_full)bw_json_int(from, "when_full", BW_FULL_QUEUE);
    slot->max_queue = (uint32_t)bw_json_int(from, "max_queue", 0);
    slot->holds_parked = bw_json_bool(from, "holds_parked", true);
    slot->holds_failed = bw_json_bool(from, "holds_failed", false);
    slot->priority = (int32_t)bw_json_int(from, "priority", 0);
    return bw_hex_decode(bw_json_slice(json_object_get(from, "group")), false, slot->group, sizeof slot->group, &len) && len == sizeof slot->group;
}

static bool read_start(const json_t *run, struct bw_start_new *start)
{
    const json_t *rate = json_object_get(run, "rate");
    size_t len = 0;
    start->ready_ms = bw_json_int(run, "ready_ms", 0);
    start->until_ms = bw_json_int(run, "until_ms", 0);
    if (!rate) return true;
    start->count = (uint32_t)bw_json_int(rate, "count", 0);
    start->period_ms = bw_json_int(rate, "period_ms", 0);
    start->burst = (uint32_t)bw_json_int(rate, "burst", 1);
    start->skips = bw_json_bool(rate, "skips", false);
    start->most_ms = bw_json_int(rate, "most_ms", 0);
    return start->period_ms > 0 && start->burst > 0 &&
           bw_hex_decode(bw_json_slice(json_object_get(rate, "group")), false, start->group, sizeof start->group, &len) && len == sizeof start->group;
}

bool bw_admission_read(const json_t *from, struct bw_slot_new *slot, struct bw_start_new *start)
{
    return read_slot(json_object_get(from, "slot"), slot) && read_start(from, start);
}

bool bw_join_read(const struct bw_message *message, const json_t *from, struct bw_join_new *join)
{
    size_t len = 0;
    uint32_t count = 0;
    struct bw_slice left, item;
    if (!bw_hex_decode(bw_json_slice(json_object_get(from, "version")), false, join->version, sizeof join->version, &len) ||
        len != sizeof join->version)
        return false;
    join->workflow = bw_json_slice(json_object_get(from, "workflow"));
    join->total = (uint32_t)bw_json_int(from, "total", 0);
    join->concurrency = (uint32_t)bw_json_int(from, "concurrency", 0);
    join->allowed = (uint32_t)bw_json_int(from, "allowed", 0);
    join->depth = (uint32_t)bw_json_int(from, "depth", 0);
    join->is_call = bw_json_bool(from, "call", false);
    join->is_detached = bw_json_bool(from, "detached", false);
    join->needs_event = bw_json_bool(from, "event", true);
    join->needs_events = bw_json_bool(from, "events", false);
    join->items = bw_message_part_or(message, from, "items_part", BW_SLICE(""));
    join->context = bw_message_part_or(message, from, "context_part", BW_SLICE(""));
    join->is_reopened = bw_json_bool(from, "reopen", false);
    for (left = join->items; bw_child_item_next(&left, &item);) count++;
    if (join->is_call && !bw_admission_read(from, &join->slot, &join->start)) return false;
    bool is_complete = count == join->total && count > 0 && count <= BW_CHILDREN_MAX;
    return !left.len && (is_complete || join->is_reopened) && join->concurrency > 0;
}

struct ends {
    struct bw_buf *items, failed, error;
    uint32_t next; /* item */
    char failed_run[BW_UID_TEXT];
    enum bw_run_state state; /* of the last one */
    bool are_left_out;
};

static bool add_end(void *arg, const struct bw_child_end *end)
{
    struct ends *ends = arg;
    bool is_failed = end->state == BW_RUN_FAILED || end->state == BW_RUN_CANCELLED;
    ends->state = end->state;
    if (is_failed) bw_buf_printf(&ends->failed, ends->failed.len ? ",%u" : "%u", (unsigned)end->item);
    if (is_failed && !*ends->failed_run) {
        bw_uid_text(end->run, BW_UID_RUN, ends->failed_run);
        bw_buf_append_slice(&ends->error, end->error);
    }
    for (; !ends->are_left_out && ends->next < end->item; ends->next++) bw_buf_append_text(ends->items, ends->next ? ",null" : "null");
    if (ends->are_left_out) return true;
    if (ends->next++) bw_buf_append_char(ends->items, ',');
    bw_buf_append_slice(ends->items, !is_failed && end->output.len ? end->output : BW_SLICE("null"));
    if (ends->items->len > BW_CHILDREN_OUTPUT_BYTES_MAX) ends->are_left_out = true;
    return true;
}

bool bw_join_append_ends(struct bw_reader *reader, const struct bw_join_counts *counts, struct bw_buf *head, struct bw_buf *items,
                         struct bw_error *err)
{
    struct ends ends = {.items = items};
    bw_buf_append_char(items, '[');
    bool good = bw_reader_child_ends(reader, counts->id, add_end, &ends, err);
    bw_buf_append_char(items, ']');
    if (ends.are_left_out) bw_buf_clear(items);
    bw_buf_printf(head, "\"total\":%u,\"started\":%u,\"succeeded\":%u,\"failed\":%u,\"state\":%d,\"failed_run\":\"%s\",\"failed_items\":[",
                  counts->total, counts->started, counts->succeeded, counts->failed, ends.state, ends.failed_run);
    bw_buf_append_slice(head, bw_buf_slice(&ends.failed));
    bw_buf_append_text(head, "],\"error\":");
    bw_buf_append_slice(head, ends.error.len ? bw_buf_slice(&ends.error) : BW_SLICE("null"));
    if (ends.failed.failed || ends.error.failed) head->failed = true;
    bw_buf_free(&ends.failed);
    bw_buf_free(&ends.error);
    return good;
}
