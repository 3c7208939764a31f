/* router.h: whose path is it? The exact bytes of the request's path, nothing decoded, nothing normalised. Immutable after creation: any thread. */
#ifndef BW_INGEST_ROUTER_H
#define BW_INGEST_ROUTER_H
#include "base/error.h"
#include "source/source.h"

struct bw_router;
struct bw_router *bw_router_new(const struct bw_source *const *sources, size_t count, struct bw_error *err); /* borrows the sources */
void bw_router_free(struct bw_router *router);
const struct bw_source *bw_router_find(const struct bw_router *router, struct bw_slice path); /* NULL = nobody's */
#endif
