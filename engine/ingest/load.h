/* load.h: who is let in when it gets full: in body bytes (in_flight_bytes) and in what waits for the store's writer (queued_max).
 *
 * Signed sources last: paths that nobody has, and sources with `verify: none`, are let in up to half of each; what a sender has to prove, and links
 * of ours, up to all of it. Of several sources none has more than three quarters, so that one that is flooded leaves room for the others. THREADS:
 * any. */
#ifndef BW_INGEST_LOAD_H
#define BW_INGEST_LOAD_H
#include "config/config.h"
#include <stdatomic.h>
#include <stdint.h>

struct bw_ingest;
struct bw_route;
struct bw_share { /* of one source, through all reloads; counted references */
    atomic_uint references;
    atomic_size_t in_flight; /* body bytes of connections whose latest request is for it */
    atomic_size_t parked;    /* its events that the writer has */
};
struct bw_share *bw_share_new(void); /* NULL without memory */
struct bw_share *bw_share_ref(struct bw_share *share);
void bw_share_unref(struct bw_share *share); /* NULL is fine */

/* route NULL: nobody's path. is_link: it is one of ours. */
uint64_t bw_load_bytes_left(const struct bw_ingest *ingest, const struct bw_route *route, bool is_link);
bool bw_load_may_wait(const struct bw_route *route, bool is_link);                  /* for bytes: it is one of those that are let in last */
bool bw_load_is_scarce(const struct bw_ingest *ingest);                             /* more than half of the bytes is taken */
bool bw_load_is_over(const struct bw_ingest *ingest, const struct bw_route *route); /* this request cannot be taken now: 503 */
bool bw_load_leaves_records(const struct bw_ingest *ingest);                        /* there is room to record what was refused */
#endif
