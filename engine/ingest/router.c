#include "ingest/router.h"
#include "base/map.h"
#include <stdatomic.h>
#include <stdlib.h>

struct bw_router {
    atomic_uint references;
    struct bw_map *by_path;
    struct bw_route *routes;
    size_t count;
    void (*release)(void *owner);
    void *owner;
    struct bw_mcp_tools *tools;
};

/* A reload is no way to a fresh burst. */
static struct bw_meter *meter_of(const struct bw_router *before, const struct bw_source_config *settings)
{
    for (size_t i = 0; before && i < before->count; i++) {
        const struct bw_route *route = &before->routes[i];
        if (route->meter && !strcmp(route->settings->name, settings->name) && bw_meter_fits(route->meter, settings))
            return bw_meter_ref(route->meter);
    }
    return bw_meter_new(settings);
}

/* What it has now it still has after a reload. */
static struct bw_share *share_of(const struct bw_router *before, const struct bw_source_config *settings)
{
    for (size_t i = 0; before && i < before->count; i++) {
        const struct bw_route *route = &before->routes[i];
        if (route->share && !strcmp(route->settings->name, settings->name)) return bw_share_ref(route->share);
    }
    return bw_share_new();
}

static bool add(struct bw_router *router, const struct bw_source *source, bool is_alone, const struct bw_router *before)
{
    struct bw_route *route = &router->routes[router->count++];
    *route = (struct bw_route){.source = source, .settings = bw_source_settings(source), .router = router};
    bool has_rate = route->settings->rate.count || route->settings->address_rate.count;
    if (has_rate && !(route->meter = meter_of(before, route->settings))) return false;
    if (!is_alone && !(route->share = share_of(before, route->settings))) return false;
    return bw_map_set(router->by_path, bw_slice_of(route->settings->path), route);
}

struct bw_router *bw_router_new(const struct bw_source *const *sources, size_t count, const struct bw_router *before, void (*release)(void *owner),
                                void *owner, struct bw_error *err)
{
    struct bw_router *router = calloc(1, sizeof *router);
    if (!router) goto no_memory;
    atomic_init(&router->references, 1);
    router->by_path = bw_map_new();
    router->routes = calloc(count + 1, sizeof *router->routes);
    if (!router->by_path || !router->routes) goto no_memory;
    for (size_t i = 0; i < count; i++)
        if (!add(router, sources[i], count == 1, before)) goto no_memory;
    router->release = release;
    router->owner = owner;
    return router;
no_memory:
    bw_router_unref(router);
    bw_error_set(err, "no_memory", "no memory for the routes");
    return NULL;
}

void bw_router_set_tools_take(struct bw_router *router, struct bw_mcp_tools *tools)
{
    router->tools = tools;
}

const struct bw_mcp_tools *bw_router_tools(const struct bw_router *router)
{
    return router->tools;
}

struct bw_router *bw_router_ref(struct bw_router *router)
{
    atomic_fetch_add(&router->references, 1);
    return router;
}

void bw_router_unref(struct bw_router *router)
{
    if (!router || atomic_fetch_sub(&router->references, 1) > 1) return;
    for (size_t i = 0; router->routes && i < router->count; i++) {
        bw_meter_unref(router->routes[i].meter);
        bw_share_unref(router->routes[i].share);
    }
    if (router->release) router->release(router->owner);
    bw_mcp_tools_unref(router->tools);
    bw_map_free(router->by_path, NULL);
    free(router->routes);
    free(router);
}

const struct bw_route *bw_router_find(const struct bw_router *router, struct bw_slice path)
{
    return bw_map_get(router->by_path, path);
}

const struct bw_route *bw_router_at(const struct bw_router *router, size_t index)
{
    return &router->routes[index];
}

size_t bw_router_count(const struct bw_router *router)
{
    return router->count;
}
