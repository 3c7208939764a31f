#include "ingest/parked.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/crash_point.h"
#include <openssl/sha.h>

struct bw_slice bw_parked_put(char **at, struct bw_slice bytes)
{
    struct bw_slice copy = {*at, bytes.len};
    memcpy(*at, bytes.ptr ? bytes.ptr : "", bytes.len);
    *at += bytes.len;
    return copy;
}

struct bw_slice bw_parked_put_name(char **at, const char *source, struct bw_slice event)
{
    struct bw_slice name = bw_parked_put(at, bw_slice_of(source));
    name.len += bw_parked_put(at, BW_SLICE(".")).len;
    name.len += bw_parked_put(at, event).len;
    return name;
}

struct bw_slice bw_parked_put_id(char **at, struct bw_slice id)
{
    if (id.len <= BW_PARKED_ID_MAX) return bw_parked_put(at, id);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];
    SHA256((const unsigned char *)id.ptr, id.len, digest);
    bw_hex_encode(digest, sizeof digest, text);
    struct bw_slice key = bw_parked_put(at, BW_SLICE("sha256:"));
    key.len += bw_parked_put(at, (struct bw_slice){text, sizeof text - 1}).len;
    return key;
}

uint32_t bw_parked_us(int64_t since_us, int64_t until_us)
{
    int64_t took = until_us - since_us;
    return took < 0 ? 0 : took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

void bw_parked_submit(struct bw_parked *parked, struct bw_connection *connection, const struct bw_route *route, struct bw_store_op *op)
{
    struct bw_loop *loop = connection->loop;
    *parked = (struct bw_parked){.connection = connection,
                                 .route = route,
                                 .router = bw_router_ref(route->router),
                                 .share = route->share ? bw_share_ref(route->share) : NULL,
                                 .events = op->batch_count ? op->batch_count : 1,
                                 .submitted_us = bw_clock_mono_us()};
    op->delivery.took_us = bw_parked_us(connection->arrived_us, parked->submitted_us);
    bw_inbound_drop_body(&connection->inbound);
    if (parked->share) atomic_fetch_add_explicit(&parked->share->parked, parked->events, memory_order_relaxed);
    loop->parked++;
    atomic_fetch_add(&loop->ingest->parked, 1);
    BW_CRASH_POINT(INGEST_BEFORE_STORE);
    bw_store_submit(loop->ingest->options.store, op);
}

static void leave(struct bw_parked *parked)
{
    struct bw_loop *loop = parked->connection->loop;
    if (parked->share) atomic_fetch_sub_explicit(&parked->share->parked, parked->events, memory_order_relaxed);
    bw_share_unref(parked->share);
    loop->parked--;
    atomic_fetch_sub(&loop->ingest->parked, 1);
}

void bw_parked_answer(struct bw_parked *parked, struct bw_reply *reply)
{
    leave(parked);
    bw_reply_crash(parked->connection->stream.fd);
    bw_connection_answer(parked->connection, reply);
    bw_router_unref(parked->router);
}

void bw_parked_hold(struct bw_parked *parked)
{
    leave(parked);
    bw_intake_release(parked->connection);
    bw_router_unref(parked->router);
}
