/* why_delivery.h: what `bellwire why` says of requests: what became of one, and what else came for an event. */
#ifndef BW_CMD_WHY_DELIVERY_H
#define BW_CMD_WHY_DELIVERY_H
#include "store/store.h"

/* Says what became of the request with that number. *event: the one that it was, or was a duplicate of; zero: there is none. */
bool bw_why_delivery(struct bw_reader *reader, int64_t number, bool as_json, struct bw_uid *event, struct bw_error *err);
/* What came again, and was taken for the event that is there already; nothing if nothing did. at_ms: when the event came. */
bool bw_why_duplicates(struct bw_reader *reader, int64_t event_id, int64_t at_ms, bool as_json, struct bw_error *err);
#endif
