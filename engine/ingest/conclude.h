/* conclude.h: what becomes of a request that starts nothing: its answer, its record, its line in the log. Loop's thread. */
#ifndef BW_INGEST_CONCLUDE_H
#define BW_INGEST_CONCLUDE_H
#include "ingest/connections.h"

struct bw_conclusion {
    unsigned status;
    enum bw_outcome outcome;
    const char *reason; /* for the log and the record */
};
/* route NULL: nobody's. */
void bw_conclude(struct bw_connection *connection, const struct bw_route *route, const struct bw_conclusion *conclusion, struct bw_reply *reply);
/* The same with the answer that belongs to the status. */
void bw_conclude_refused(struct bw_connection *connection, const struct bw_route *route, unsigned status, enum bw_outcome outcome,
                         const char *reason);
void bw_conclude_log(const struct bw_delivery *delivery, const char *event, int64_t waited_us); /* event NULL: there is none */
#endif
