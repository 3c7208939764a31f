#include "dispatch/collecting.h"
#include "base/codec.h"
#include <stdlib.h>
#include <string.h>

static void bind_event(void *arg, struct bw_event_new *event, uint64_t keys[BW_EVENT_KEYS_MAX])
{
    struct bw_dispatch *dispatch = arg; /* writer thread */
    struct bw_binding binding;
    bw_dispatch_bind(dispatch, event->name, event->body, &binding);
    event->revision = binding.revision;
    event->is_done = !binding.is_awaited;
    memcpy(keys, binding.keys, binding.key_count * sizeof *keys);
    event->keys = keys;
    event->key_count = binding.key_count;
}

bool bw_collecting_fill(struct bw_dispatch *dispatch, struct bw_collecting *collecting, struct bw_store_op *wake)
{
    size_t index, count = 0, len;
    json_t *workflow;
    if (!dispatch->workflows) return false;
    json_array_foreach(dispatch->workflows, index, workflow) count += bw_json_bool(workflow, "collects", false);
    if (count && !(collecting->versions = calloc(count, sizeof *collecting->versions))) return false;
    collecting->workflows = json_incref(dispatch->workflows);
    count = 0;
    json_array_foreach(dispatch->workflows, index, workflow)
    {
        struct bw_collect_version *version = &collecting->versions[count];
        if (!bw_json_bool(workflow, "collects", false)) continue;
        version->workflow = bw_json_slice(json_object_get(workflow, "name"));
        count += bw_hex_decode(bw_json_slice(json_object_get(workflow, "hash")), false, version->version, sizeof version->version, &len) &&
                 len == sizeof version->version;
    }
    wake->collects = collecting->versions;
    wake->collect_count = count;
    wake->collect_revision = dispatch->revision;
    wake->bind = bind_event;
    wake->bind_arg = dispatch;
    return true;
}

void bw_collecting_release(struct bw_collecting *collecting)
{
    free(collecting->versions);
    json_decref(collecting->workflows);
    *collecting = (struct bw_collecting){0};
}
