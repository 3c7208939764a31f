/* undecided.h: requests whose key is being fetched. They keep their connection and their body, for a few seconds at most: then, when the fetch has
 * failed or when the engine stops, they get 503, which tells their sender to come again. Nothing is stored of them before they are proven. The loop's
 * thread, but for bw_undecided_look_again(). */
#ifndef BW_INGEST_UNDECIDED_H
#define BW_INGEST_UNDECIDED_H
#include "ingest/loop.h"

/* False: too many wait already, or there is no memory. From then on the request is answered from here. */
bool bw_undecided_wait(struct bw_connection *connection, const struct bw_route *route);
void bw_undecided_end_all(struct bw_loop *loop);
void bw_undecided_look_again(struct bw_ingest *ingest); /* any thread: there are new keys, or new failures */
#endif
