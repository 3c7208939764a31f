/* removal.h: takes one finished thing out of the store with everything that hangs on it, children before parents, inside the transaction
 * of its caller. A transaction removes at most BW_REMOVAL_ROWS rows and works a few milliseconds: then nothing more is begun, and what is
 * left of a large run goes with the next transaction. It does not ask whether a thing may go: retention.c did. Writer thread. */
#ifndef BW_STORE_REMOVAL_H
#define BW_STORE_REMOVAL_H
#include "store/deliveries.h"
#include "store/parking.h"
#include "store/write_sql.h"

#define BW_REMOVAL_ROWS 500

struct bw_removed { /* how many of each */
    int64_t deliveries, runs, events, revisions;
};
enum bw_removal_end {
    BW_REMOVAL_GONE,
    BW_REMOVAL_PARTLY, /* this transaction has no room for all of it: the rest is the next one's */
    BW_REMOVAL_STAYS,  /* something needs it */
};
struct bw_removal { /* begin with bw_removal_begin() */
    const struct bw_write_statements *sql;
    struct bw_deliveries *deliveries;
    struct bw_parking *parking; /* a run that is removed gives a slot back that it has kept */
    int64_t now_ms;
    int64_t until_us; /* bw_clock_mono_us() */
    int64_t rows;     /* that may still be removed */
    struct bw_removed removed;
};

void bw_removal_begin(struct bw_removal *removal, struct bw_parking *parking, struct bw_deliveries *deliveries, int64_t now_ms);
bool bw_removal_is_spent(const struct bw_removal *removal);
/* Each call makes some progress, even if the time is over. */
bool bw_remove_delivery(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err);
bool bw_remove_run(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err); /* with its steps and children */
/* With its body, its keys and its mark of matches; its runs are gone already. Its dedupe key lives on to the end of its window. */
bool bw_remove_event(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err);
bool bw_remove_kept_key(struct bw_removal *removal, int64_t event_id, enum bw_removal_end *end, struct bw_error *err);
bool bw_remove_revision(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err); /* with its list of files */
bool bw_remove_unused_versions(struct bw_removal *removal, enum bw_removal_end *end, struct bw_error *err);      /* contents that no revision has */
#endif
