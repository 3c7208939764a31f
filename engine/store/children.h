/* children.h: runs that a step of another run has started, and how that step learns of their ends.
 *
 * A join is the step: it has `total` children, of which at most `concurrency` are alive at once. All of it is rows (schema/005_children.sql), written
 * in the transaction of the report that causes it:
 *   - the step's WAITING row creates the join, its items and the first children: either all of it is there or nothing;
 *   - a child's end counts in its join and starts the next item, so no slot is lost and none is used twice;
 *   - the last end gives the step its CHILD wake (parking.h): a parked parent goes on, an active one finds it when it wants to park;
 *   - above `allowed` failures nothing is started any more: the last of those that run wakes the parent;
 *   - a step that becomes final, or the end of its run, closes the join: what had not started does not start, what is alive is cancelled;
 *   - a step whose run is resumed opens it again: those that failed are run once more, then those that had not started, at most `concurrency` of
 * them at once as before. Items that have not started are kept for that, until the run is removed. A child's uid is derived from its parent's, so the
 * same item has the same identity whatever happens in between.
 *
 * Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_CHILDREN_H
#define BW_STORE_CHILDREN_H
#include "store/parking.h"

/* Does the run of a called workflow ask when it may begin? Then it is BLOCKED, and bw_admission_of_call() is to follow. */
bool bw_join_asks(const struct bw_join_new *join);
/* After the step's row was written; nothing if its join is there already. */
bool bw_children_begin(struct bw_parking *parking, int64_t run_id, struct bw_uid run, int64_t event_id, const struct bw_step_row *step,
                       struct bw_error *err);
/* A run has ended: if it is a child, that counts. */
bool bw_children_ended(struct bw_parking *parking, int64_t run_id, enum bw_run_state state, int64_t ended_ms, struct bw_error *err);
/* Of a join with no child alive: counts their ends anew and does what follows. For the sweeper. */
bool bw_children_settle(struct bw_parking *parking, int64_t join_id, struct bw_error *err);
bool bw_children_close_step(struct bw_parking *parking, int64_t run_id, struct bw_slice path, struct bw_error *err);
bool bw_children_close_run(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
#endif
