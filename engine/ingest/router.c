#include "ingest/router.h"
#include "base/map.h"
#include <stdlib.h>

struct bw_router {
    struct bw_map *by_path;
};

struct bw_router *bw_router_new(const struct bw_source *const *sources, size_t count, struct bw_error *err)
{
    struct bw_router *router = calloc(1, sizeof *router);
    if (!router || !(router->by_path = bw_map_new())) goto no_memory;
    for (size_t i = 0; i < count; i++) {
        struct bw_slice path = bw_slice_of(bw_source_settings(sources[i])->path);
        if (!bw_map_set(router->by_path, path, (void *)(uintptr_t)sources[i])) goto no_memory; /* the map keeps pointers to anything */
    }
    return router;
no_memory:
    bw_router_free(router);
    bw_error_set(err, "no_memory", "no memory for the routes");
    return NULL;
}

void bw_router_free(struct bw_router *router)
{
    if (!router) return;
    bw_map_free(router->by_path, NULL);
    free(router);
}

const struct bw_source *bw_router_find(const struct bw_router *router, struct bw_slice path)
{
    return bw_map_get(router->by_path, path);
}
