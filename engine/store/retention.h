/* retention.h: what may go, and when.
 *
 * A pass walks deliveries, runs and events in the order of their ids, which is nearly that of time, and ends each walk where nothing is old
 * any more: what stays behind (a failed run among old ones) is looked at again by the next pass. There are two kinds: by age, at intervals;
 * by size, when the pages in use exceed the cap, until they are below 95 % of it: then everything counts as old, failed runs last.
 * Each slice of a pass is one small transaction (removal.h), made when the writer is idle; if it never is, slices come between groups and
 * get a fiftieth of its time, above the cap as much as they need. A pass that removed something logs one line, store.retention.
 *
 * The runs of a workflow may have ages of their own (about.h): its runs are walked by themselves, so that neither those that go soon nor those that
 * stay long make the walks of the others longer. A run that another one waited for goes with that one, whatever its workflow says.
 * Never removed: pending events, active and parked runs with their events, failed runs that nobody has resumed, replayed or discarded (letters.h;
 * for 180 days: then they count as discarded), events that a wake names (parking.h), the ended runs of a pending event
 * (after a restart their rows are what keeps them from running again), the newest event (its id must not be given again). Writer thread, outside of
 * transactions. */
#ifndef BW_STORE_RETENTION_H
#define BW_STORE_RETENTION_H
#include "config/config.h"
#include "store/removal.h"
#include "store/revision_sweep.h"

struct bw_retention { /* zero-initialise, set `keep` or `is_off`, then bw_retention_open(). Fields are retention.c's */
    struct bw_retention_config keep;
    bool is_off; /* nothing goes, whatever workflows say */
    const struct bw_write_statements *sql;
    struct bw_parking *parking;
    struct bw_deliveries *deliveries;
    struct bw_revision_sweep revisions;
    int64_t page_bytes, every_us;         /* between the beginnings of passes by age */
    int64_t began_us, previous_us;        /* the beginnings of this pass by age and of the one before; -1: there was none that counts */
    int64_t least_ms;                     /* the shortest of all ages, 0 = there is none */
    bool is_changed;                      /* what workflows say is to be read anew */
    struct bw_buf workflow;               /* whose runs are walked; empty: none yet */
    int64_t ok_ms, failed_ms;             /* its ages */
    const struct bw_retention_walk *walk; /* of the pass that runs, NULL = none */
    bool is_by_size;
    int64_t cursor;                      /* the id that the walk has reached */
    struct bw_removed removed;           /* by this pass */
    int64_t next_pass_us, next_slice_us; /* bw_clock_mono_us(); next_slice_us: not before, unless idle */
    uint64_t used_bytes;                 /* by the last measure */
    bool is_above_cap;                   /* and not yet below 95 % */
    bool is_exhausted;                   /* above the cap, and the last pass by size found nothing more that may go */
};

bool bw_retention_open(struct bw_retention *retention, struct bw_parking *parking, struct bw_deliveries *deliveries, struct bw_error *err);
void bw_retention_close(struct bw_retention *retention);
bool bw_retention_measure(struct bw_retention *retention, struct bw_error *err); /* after each commit: is the database above its cap? */
void bw_retention_changed(struct bw_retention *retention);                       /* in this transaction: what workflows say of their ages */
/* Microseconds until there is a slice to do: 0 = now, -1 = never. */
int64_t bw_retention_wait_us(const struct bw_retention *retention, bool is_idle);
bool bw_retention_slice(struct bw_retention *retention, struct bw_error *err); /* after a failure nothing is tried for some seconds */
/* True above the cap with nothing left that may go: *err says so to who wants to store an event. */
bool bw_retention_refuses(const struct bw_retention *retention, struct bw_error *err);
#endif
