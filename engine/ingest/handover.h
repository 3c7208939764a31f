/* handover.h: a sender hands over its secret (source/learnt.h): it is on disk, and counts, before the handshake is answered. Loop's thread. */
#ifndef BW_INGEST_HANDOVER_H
#define BW_INGEST_HANDOVER_H
#include "ingest/connections.h"

/* The judgement is a HANDSHAKE with a captured secret. The request is parked at the writer, which has the last word: two may come at once. */
void bw_handover(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement);
#endif
