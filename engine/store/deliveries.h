/* deliveries.h: the record of who rang, bounded although anybody may ring.
 *
 * Each delivery is a row. Of a source's refused and handshake requests at most 100 a second (by their own time) become rows; what comes
 * above that is counted in `times` of that second's last row of the outcome, with one UPDATE per outcome and transaction. Of a source's
 * refused rows at most BW_REFUSED_KEPT stay; the oldest go, a slice at a time. So a flood costs neither the disk nor the commit.
 *
 * Writer thread, inside a transaction that ends in bw_deliveries_committed() or bw_deliveries_rolled_back(). */
#ifndef BW_STORE_DELIVERIES_H
#define BW_STORE_DELIVERIES_H
#include "base/map.h"
#include "store/store.h"
#include "store/write_sql.h"

#define BW_DELIVERY_ROWS_PER_SECOND 100
#define BW_REFUSED_KEPT 100000

struct bw_delivery_source; /* what is known of one source's rows */
struct bw_deliveries {     /* zero-initialise, then bw_deliveries_open(). Fields are deliveries.c's */
    const struct bw_write_statements *sql;
    struct bw_map *sources;             /* name → struct bw_delivery_source */
    struct bw_delivery_source *touched; /* by this transaction */
    int64_t refused_kept;
};

bool bw_deliveries_open(struct bw_deliveries *deliveries, const struct bw_write_statements *sql, struct bw_error *err);
void bw_deliveries_close(struct bw_deliveries *deliveries);
/* The row of an event (event_id) or of a duplicate of it; never folded. */
bool bw_deliveries_add(struct bw_deliveries *deliveries, const struct bw_delivery *delivery, int64_t event_id, struct bw_error *err);
/* A refused or handshake request: a row, or one more in `times`. */
bool bw_deliveries_fold(struct bw_deliveries *deliveries, const struct bw_delivery *delivery, struct bw_error *err);
/* Retention removed this row. */
void bw_deliveries_removed(struct bw_deliveries *deliveries, struct bw_slice source, enum bw_outcome outcome, int64_t id);
bool bw_deliveries_flush(struct bw_deliveries *deliveries, struct bw_error *err); /* before COMMIT: counts and trimming */
void bw_deliveries_committed(struct bw_deliveries *deliveries);
void bw_deliveries_rolled_back(struct bw_deliveries *deliveries);
#endif
