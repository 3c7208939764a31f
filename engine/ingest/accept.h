/* accept.h: the way of a request: gate's refusal → route → address → method → load → encoding → type → judge → rate → schema → record → park →
 * answer. Of a connection that is busy: from here on its request is answered, now or later. The loop's thread. */
#ifndef BW_INGEST_ACCEPT_H
#define BW_INGEST_ACCEPT_H
#include "ingest/connections.h"

void bw_accept_request(struct bw_connection *connection); /* its inbound request is whole, and may be borrowed until this returns */
void bw_accept_refused(struct bw_connection *connection); /* it has a refusal; of the request there may be a head */
/* Judges a request that waits for its key (undecided.h) again. may_wait: it may go on waiting, and then this is true; otherwise it is answered. */
bool bw_accept_again(struct bw_connection *connection, const struct bw_route *route, bool may_wait);
#endif
