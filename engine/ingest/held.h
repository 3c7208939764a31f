/* held.h: senders who wait for a run's answer (`respond: {mode: result}`). Their event is on disk; what they get is the first of: the answer, what
 * their source says to whatever it takes (202, or its `acknowledge`) when their time is over, when the engine stops or when they have closed their
 * side. Whoever takes a sender out of the table, under its lock, decides: so each gets exactly one answer.
 *
 * LIFE: made by the store's writer before dispatch hears of the event (bw_held_new), given its request by the loop (bw_held_keep), freed by the loop
 * with the answer. At most half of the connections that are allowed may wait; the rest is answered at once. A sender that waits keeps its connection,
 * but neither the bytes of its body nor its place at the writer. */
#ifndef BW_INGEST_HELD_H
#define BW_INGEST_HELD_H
#include "dispatch/awaits.h"
#include "dispatch/response.h"
#include "ingest/loop.h"
#include "ingest/tool_call.h"

struct bw_held;
bool bw_held_table_open(struct bw_held_table *table, size_t max);
void bw_held_table_close(struct bw_held_table *table); /* nobody waits any more */
/* Writer thread. NULL: too many wait, or there is no memory: it is answered as any other. */
struct bw_held *bw_held_new(struct bw_loop *loop, struct bw_uid event, const struct bw_binding *binding);
/* The same of who has called a tool: it waits for the end of that run, and hears of it in the words of its protocol. Several may, when a call is
 * repeated; also the loop's thread. Takes the call over, unless NULL. */
struct bw_held *bw_held_new_call(struct bw_loop *loop, struct bw_uid event, const struct bw_binding *binding, struct bw_tool_call *call);
/* Loop: the event is on disk. From now on the connection's request is the table's, and one reference of the route's router. */
void bw_held_keep(struct bw_held *held, struct bw_connection *connection, const struct bw_route *route);
void bw_held_end_all(struct bw_loop *loop);

/* Any thread. */
void bw_held_choose(struct bw_held_table *table, struct bw_uid event, struct bw_uid run, int64_t within_ms);
bool bw_held_is_awaited(struct bw_held_table *table, struct bw_uid event, struct bw_uid run);
void bw_held_respond(struct bw_held_table *table, const struct bw_response *response);
#endif
