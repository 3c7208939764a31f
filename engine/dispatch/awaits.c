/* Which event names some workflow waits for: what nobody waits for is done when it is stored, and costs no worker anything. */
#include "dispatch/internal.h"
#include "workflow/model.h"
#include <stdlib.h>
#include <string.h>

/* Immutable once published: ingest threads read it while the main thread goes on. */
struct bw_awaited {
    struct bw_slice *globs;
    size_t count;
};

static bool add(struct bw_awaited *awaited, struct bw_slice glob)
{
    const char *copy = bw_slice_dup(glob);
    if (copy) awaited->globs[awaited->count++] = (struct bw_slice){copy, glob.len};
    return copy != NULL;
}

void bw_awaits_free(struct bw_awaited *awaited)
{
    if (!awaited) return;
    for (size_t i = 0; i < awaited->count; i++) free((char *)awaited->globs[i].ptr);
    free(awaited->globs);
    free(awaited);
}

/* Without memory for it, it stays unpublished: then every event goes to a worker. */
void bw_awaits_publish(struct bw_dispatch *dispatch)
{
    struct bw_awaited *awaited = calloc(1, sizeof *awaited);
    size_t index, inner, total = 0;
    json_t *workflow, *glob;
    json_array_foreach(dispatch->workflows, index, workflow) total += json_array_size(json_object_get(workflow, "events"));
    if (!awaited || !(awaited->globs = calloc(total + 1, sizeof *awaited->globs))) goto fail;
    json_array_foreach(dispatch->workflows, index, workflow)
    {
        json_array_foreach(json_object_get(workflow, "events"), inner, glob) if (!add(awaited, bw_json_slice(glob))) goto fail;
    }
    atomic_store_explicit(&dispatch->awaited, awaited, memory_order_release);
    return;
fail:
    bw_awaits_free(awaited);
}

bool bw_dispatch_awaits(const struct bw_dispatch *dispatch, struct bw_slice event_name)
{
    const struct bw_awaited *awaited = atomic_load_explicit(&dispatch->awaited, memory_order_acquire);
    if (!awaited) return true;
    for (size_t i = 0; i < awaited->count; i++)
        if (bw_glob_match(awaited->globs[i], event_name)) return true;
    return false;
}
