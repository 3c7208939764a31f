/* revision_sweep.h: which catalogue revisions does no event refer to any more?
 *
 * An index of events by revision would cost each accepted event; a walk over all events costs once for each revision that goes. So the
 * sweep walks (a slice at a time), remembers for each older revision the last event that refers to it, removes those without one, and does
 * not walk again before one of those last events is gone or there are other revisions to ask about. The newest revision stays, and so do the
 * last few that were handed out: events that refer to them may be on their way. Writer thread. */
#ifndef BW_STORE_REVISION_SWEEP_H
#define BW_STORE_REVISION_SWEEP_H
#include "store/removal.h"

#define BW_REVISIONS_SPARED 4

struct bw_revision_reference {
    int64_t revision;
    int64_t last_event; /* 0 = none */
};
struct bw_revision_sweep { /* zero-initialise */
    int64_t spared[BW_REVISIONS_SPARED];
    size_t next_spared;
    struct bw_revision_reference *references; /* of the last walk, ascending */
    size_t count;
    bool is_walking, is_removing;
    int64_t cursor; /* the event that the walk has reached */
};

void bw_revision_sweep_spare(struct bw_revision_sweep *sweep, int64_t revision); /* it was handed out just now */
/* One slice inside a transaction. *is_finished: nothing left to do for now. */
bool bw_revision_sweep_slice(struct bw_revision_sweep *sweep, struct bw_removal *removal, bool *is_finished, struct bw_error *err);
void bw_revision_sweep_close(struct bw_revision_sweep *sweep);
#endif
