#include "dispatch/collecting.h"
#include "base/codec.h"
#include <stdlib.h>

bool bw_collecting_fill(const struct bw_dispatch *dispatch, struct bw_collecting *collecting, struct bw_store_op *wake)
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
    return true;
}

void bw_collecting_release(struct bw_collecting *collecting)
{
    free(collecting->versions);
    json_decref(collecting->workflows);
    *collecting = (struct bw_collecting){0};
}
