/* parked.h: a request that waits for the store's writer: what it counts in meanwhile, and how its bytes are kept. Loop's thread. */
#ifndef BW_INGEST_PARKED_H
#define BW_INGEST_PARKED_H
#include "ingest/connections.h"

#define BW_PARKED_ID_MAX 255

struct bw_parked {
    struct bw_connection *connection;
    const struct bw_route *route;
    struct bw_router *router; /* its: ours, so that what it says lives, whatever is loaded meanwhile */
    struct bw_share *share;   /* of its source, that it counts in; ours. NULL: it is the only one */
    size_t events;            /* how much it counts for there */
    int64_t submitted_us;
};
/* All that is needed of the request has been copied: its body goes. Then op is given to the writer; its delivery says how long that took. */
void bw_parked_submit(struct bw_parked *parked, struct bw_connection *connection, const struct bw_route *route, struct bw_store_op *op);
/* The writer has answered: so do we. Behind it: bw_loop_end_if_done(). */
void bw_parked_answer(struct bw_parked *parked, struct bw_reply *reply);
void bw_parked_hold(struct bw_parked *parked);                   /* the same, and the answer comes later, from elsewhere */
struct bw_slice bw_parked_put(char **at, struct bw_slice bytes); /* copies to *at and moves it; any thread */
/* SOURCE.NAME */
struct bw_slice bw_parked_put_name(char **at, const char *source, struct bw_slice event);
/* A dedupe id as it is compared: whole, or its hash if it is longer than BW_PARKED_ID_MAX. Cutting it would make different events one. */
struct bw_slice bw_parked_put_id(char **at, struct bw_slice id);
uint32_t bw_parked_us(int64_t since_us, int64_t until_us); /* as a record has it; any thread */
#endif
