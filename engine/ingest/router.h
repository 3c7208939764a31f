/* router.h: whose path is it? The exact bytes of the request's path, nothing decoded, nothing normalised. With each path: the source, and what it
 * may send.
 *
 * Immutable after creation, but for the buckets: any thread. References are counted: a reload puts another router in its place, and requests that
 * began with this one end with it; with the last reference what it was made of is released, on whatever thread that is. */
#ifndef BW_INGEST_ROUTER_H
#define BW_INGEST_ROUTER_H
#include "base/error.h"
#include "ingest/load.h"
#include "ingest/meter.h"
#include "mcp/tools.h"
#include "source/source.h"

struct bw_route {
    const struct bw_source *source;
    const struct bw_source_config *settings; /* of the source */
    struct bw_router *router;                /* that it is in */
    struct bw_meter *meter;                  /* NULL: no rate */
    struct bw_share *share;                  /* NULL: it is the only source */
};
struct bw_router;
/* Borrows the sources until release(owner) is called (release may be NULL), which is never when this fails. before: whose buckets go on for sources
 * of the same name with the same rates; or NULL. */
struct bw_router *bw_router_new(const struct bw_source *const *sources, size_t count, const struct bw_router *before, void (*release)(void *owner),
                                void *owner, struct bw_error *err);
void bw_router_set_tools_take(struct bw_router *router, struct bw_mcp_tools *tools); /* before anybody else has it */
const struct bw_mcp_tools *bw_router_tools(const struct bw_router *router);          /* NULL: no source offers any */
struct bw_router *bw_router_ref(struct bw_router *router);
void bw_router_unref(struct bw_router *router);                                              /* NULL is fine */
const struct bw_route *bw_router_find(const struct bw_router *router, struct bw_slice path); /* NULL = nobody's */
size_t bw_router_count(const struct bw_router *router);
const struct bw_route *bw_router_at(const struct bw_router *router, size_t index); /* in the order of the sources */
#endif
