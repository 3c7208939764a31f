/* delivery.h: a verified request on its way to the disk and back: its event is written before anybody is answered. Loop's thread. */
#ifndef BW_INGEST_DELIVERY_H
#define BW_INGEST_DELIVERY_H
#include "ingest/connections.h"

/* loop->parts.request was judged as VERIFIED. It is parked at the writer from here on; or it is refused, and answered. */
void bw_deliver(struct bw_connection *connection, struct evhttp_request *request, const struct bw_route *route, const struct bw_judgement *judgement);
unsigned bw_delivery_status(const struct bw_route *route); /* of the answer to an event that is new */
#endif
