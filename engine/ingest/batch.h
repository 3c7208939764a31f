/* batch.h: a verified request with several events in it, on its way to the disk and back: all of them are written in one transaction, or none. Loop's
 * thread. */
#ifndef BW_INGEST_BATCH_H
#define BW_INGEST_BATCH_H
#include "ingest/connections.h"

#define BW_BATCH_EVENTS_MAX 1000
#define BW_EVENT_NAME_MAX 200

/* loop->parts.request was judged as VERIFIED, with `items`. It is parked at the writer from here on; or it is refused, and answered: nothing of it is
 * written then. Its sender does not wait for an answer of a run. */
void bw_batch(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement);
#endif
