#include "store/asks.h"
#include "base/codec.h"
#include "base/json.h"

static void append_group(struct bw_buf *out, const uint8_t group[BW_SLOT_GROUP_BYTES])
{
    char hex[2 * BW_SLOT_GROUP_BYTES + 1];
    bw_hex_encode(group, BW_SLOT_GROUP_BYTES, hex);
    bw_buf_printf(out, "\"group\":\"%s\"", hex);
}

void bw_asks_append(struct bw_buf *out, const struct bw_slot_new *slot, const struct bw_start_new *start)
{
    size_t from = out->len;
    if (start->count) {
        bw_buf_append_text(out, ",\"rate\":{");
        append_group(out, start->group);
        bw_buf_printf(out, ",\"count\":%u,\"period_ms\":%lld,\"burst\":%u,\"skips\":%s,\"most_ms\":%lld}", start->count, (long long)start->period_ms,
                      start->burst, start->skips ? "true" : "false", (long long)start->most_ms);
    }
    if (start->ready_ms) bw_buf_printf(out, ",\"ready_ms\":%lld", (long long)start->ready_ms);
    if (start->until_ms) bw_buf_printf(out, ",\"until_ms\":%lld", (long long)start->until_ms);
    if (slot->most) {
        bw_buf_append_text(out, ",\"slot\":{");
        append_group(out, slot->group);
        bw_buf_printf(out, ",\"most\":%u,\"when_full\":%d,\"max_queue\":%u,\"holds_parked\":%s,\"holds_failed\":%s,\"priority\":%d}", slot->most,
                      slot->when_full, slot->max_queue, slot->holds_parked ? "true" : "false", slot->holds_failed ? "true" : "false", slot->priority);
    }
    if (out->failed || out->len == from) return;
    out->data[from] = '{';
    bw_buf_append_char(out, '}');
}

static bool read_group(const json_t *object, uint8_t group[BW_SLOT_GROUP_BYTES])
{
    size_t len = 0;
    return !object ||
           (bw_hex_decode(bw_json_slice(json_object_get(object, "group")), false, group, BW_SLOT_GROUP_BYTES, &len) && len == BW_SLOT_GROUP_BYTES);
}

bool bw_asks_read(struct bw_slice text, struct bw_asks *asks, struct bw_error *err)
{
    *asks = (struct bw_asks){.slot = {.most = 0}};
    if (!text.len) return true;
    json_t *root = bw_json_load(text, err);
    const json_t *rate = json_object_get(root, "rate"), *slot = json_object_get(root, "slot");
    bool good = root && read_group(rate, asks->start.group) && read_group(slot, asks->slot.group);
    if (root && !good) bw_error_set(err, "store.refused", "what a run was admitted with cannot be read");
    asks->start.count = (uint32_t)bw_json_int(rate, "count", 0);
    asks->start.burst = (uint32_t)bw_json_int(rate, "burst", 1);
    asks->start.period_ms = bw_json_int(rate, "period_ms", 0);
    asks->start.skips = bw_json_bool(rate, "skips", false);
    asks->start.most_ms = bw_json_int(rate, "most_ms", 0);
    asks->start.ready_ms = bw_json_int(root, "ready_ms", 0);
    asks->start.until_ms = bw_json_int(root, "until_ms", 0);
    asks->slot.most = (uint32_t)bw_json_int(slot, "most", 0);
    asks->slot.when_full = (enum bw_when_full)bw_json_int(slot, "when_full", BW_FULL_QUEUE);
    asks->slot.max_queue = (uint32_t)bw_json_int(slot, "max_queue", 0);
    asks->slot.holds_parked = bw_json_bool(slot, "holds_parked", true);
    asks->slot.holds_failed = bw_json_bool(slot, "holds_failed", false);
    asks->slot.priority = (int32_t)bw_json_int(slot, "priority", 0);
    json_decref(root);
    return good;
}
