/* delivery.h: a verified request on its way to the disk and back: its event is written before anybody is answered. Loop's thread. */
#ifndef BW_INGEST_DELIVERY_H
#define BW_INGEST_DELIVERY_H
#include "ingest/connections.h"
#include "ingest/tool_call.h"

/* loop->parts.request was judged as VERIFIED. It is parked at the writer from here on; or it is refused, and answered. */
void bw_deliver(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement);
/* The same of the call of a tool, whose event is for its workflow alone: judgement has the arguments as data, and the key by which a repetition is
 * known as delivery id. True: the call is taken over. False: its workflow is not there any more, or there is no memory; nothing was answered. */
bool bw_deliver_call(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement, struct bw_tool_call *call);
unsigned bw_delivery_status(const struct bw_route *route); /* of the answer to an event that is new */
#endif
