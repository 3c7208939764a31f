/* A refusal's record is an allocation of its own that the writer frees: what it names may be gone before the writer comes to it. */
#include "ingest/conclude.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/parked.h"
#include <stdlib.h>

struct refusal {
    struct bw_store_op op;
    char bytes[]; /* source, remote, detail */
};

void bw_conclude_log(const struct bw_delivery *delivery, const char *event, int64_t waited_us)
{
    if (!bw_log_enabled(BW_LOG_INFO)) return;
    bw_log(BW_LOG_INFO, "delivery", BW_STR("event", event), BW_SLC("source", delivery->source), BW_INT("status", delivery->status),
           BW_STR("outcome", bw_outcome_name(delivery->outcome)), BW_STR("reason", delivery->detail.len ? delivery->detail.ptr : NULL),
           BW_INT("bytes", delivery->bytes), BW_INT("took_us", delivery->took_us), BW_INT("waited_us", waited_us),
           BW_SLC("remote", delivery->remote));
}

/* Writer thread. */
static void free_refusal(struct bw_store_op *op)
{
    free(op->owner);
}

static void record(struct bw_loop *loop, const struct bw_delivery *delivery)
{
    struct bw_store *store = loop->ingest->options.store;
    if (!bw_load_leaves_records(loop->ingest)) return;
    struct refusal *refusal = malloc(sizeof *refusal + delivery->source.len + delivery->remote.len + delivery->detail.len);
    if (!refusal) return;
    char *at = refusal->bytes;
    refusal->op = (struct bw_store_op){.kind = BW_OP_DELIVERY, .done = free_refusal, .owner = refusal, .delivery = *delivery};
    refusal->op.delivery.source = bw_parked_put(&at, delivery->source);
    refusal->op.delivery.remote = bw_parked_put(&at, delivery->remote);
    refusal->op.delivery.detail = bw_parked_put(&at, delivery->detail);
    bw_store_submit(store, &refusal->op);
}

void bw_conclude(struct bw_connection *connection, const struct bw_route *route, const struct bw_conclusion *conclusion, struct bw_reply *reply)
{
    struct bw_loop *loop = connection->loop;
    const struct bw_delivery delivery = {.at_ms = bw_clock_wall_ms(),
                                         .source = route ? bw_slice_of(route->settings->name) : BW_SLICE(""),
                                         .status = conclusion->status,
                                         .outcome = conclusion->outcome,
                                         .remote = bw_slice_of(loop->client.text),
                                         .detail = bw_slice_of(conclusion->reason),
                                         .bytes = (uint32_t)connection->inbound.body.len,
                                         .took_us = bw_parked_us(connection->arrived_us, bw_clock_mono_us())};
    record(loop, &delivery);
    bw_conclude_log(&delivery, NULL, 0);
    bw_connection_answer(connection, reply);
}

void bw_conclude_refused(struct bw_connection *connection, const struct bw_route *route, unsigned status, enum bw_outcome outcome, const char *reason)
{
    struct bw_reply reply;
    bw_reply_refuse(&reply, status);
    if (status == 405) reply.allow = "POST";
    if (status == 401 && route) reply.challenge = bw_source_challenge(route->source);
    bw_conclude(connection, route, &(struct bw_conclusion){status, outcome, reason}, &reply);
}
