#include "ingest/load.h"
#include "ingest/loop.h"
#include <stdlib.h>

struct bw_share *bw_share_new(void)
{
    struct bw_share *share = calloc(1, sizeof *share);
    if (share) atomic_init(&share->references, 1);
    return share;
}

struct bw_share *bw_share_ref(struct bw_share *share)
{
    atomic_fetch_add(&share->references, 1);
    return share;
}

void bw_share_unref(struct bw_share *share)
{
    if (share && atomic_fetch_sub(&share->references, 1) == 1) free(share);
}

static bool is_proven(const struct bw_route *route)
{
    return route && !(route->settings->verify && !strcmp(route->settings->verify, "none"));
}

static size_t share_of(size_t whole)
{
    return whole - whole / 4;
}

static size_t left_of(size_t whole, size_t taken)
{
    return taken < whole ? whole - taken : 0;
}

bool bw_load_may_wait(const struct bw_route *route, bool is_link)
{
    return is_proven(route) || is_link;
}

uint64_t bw_load_bytes_left(const struct bw_ingest *ingest, const struct bw_route *route, bool is_link)
{
    size_t whole = ingest->options.in_flight_bytes, taken = atomic_load_explicit(&ingest->in_flight, memory_order_relaxed);
    size_t left = left_of(bw_load_may_wait(route, is_link) ? whole : whole / 2, taken);
    if (!route || !route->share) return left;
    size_t own = left_of(share_of(whole), atomic_load_explicit(&route->share->in_flight, memory_order_relaxed));
    return own < left ? own : left;
}

bool bw_load_is_scarce(const struct bw_ingest *ingest)
{
    return atomic_load_explicit(&ingest->in_flight, memory_order_relaxed) > ingest->options.in_flight_bytes / 2;
}

bool bw_load_is_over(const struct bw_ingest *ingest, const struct bw_route *route)
{
    size_t queued = bw_store_queued(ingest->options.store), most = ingest->options.queued_max;
    if (bw_store_is_failed(ingest->options.store) || queued > most) return true;
    bool is_half_full = queued > most / 2 || atomic_load_explicit(&ingest->in_flight, memory_order_relaxed) > ingest->options.in_flight_bytes / 2;
    if (is_half_full && !is_proven(route)) return true;
    return route && route->share && atomic_load_explicit(&route->share->parked, memory_order_relaxed) >= share_of(most);
}

/* A record of each refusal in a flood of them would take the writer from those who have something to say. */
bool bw_load_leaves_records(const struct bw_ingest *ingest)
{
    return !bw_store_is_failed(ingest->options.store) && bw_store_queued(ingest->options.store) <= ingest->options.queued_max / 2;
}
