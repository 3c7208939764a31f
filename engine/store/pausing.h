/* pausing.h: workflows that somebody has paused. Their events are accepted and looked at as ever, and the runs that would begin are HELD instead, in
 * the order of their events; runs that have begun go on.
 *
 * HELD is decided where a run is about to begin, in the transaction that lets it begin: a new one (also one of collected events, one that repeats
 * another one, one that a step calls), and one that was DELAYED or BLOCKED when its turn comes. So pausing and resuming race with nothing. In memory
 * is the list of paused workflows alone: with none, nothing here costs a statement. Resuming only writes that down. The runs go on in the
 * transactions of BW_OP_WAKE, at most BW_WAKES_AT_ONCE in each, through `rate`, `concurrency` and what is left of `delay`; a crash in between loses
 * nothing. Until the last one has gone, new runs line up behind them.
 *
 * Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_PAUSING_H
#define BW_STORE_PAUSING_H
#include "store/parking.h"

bool bw_pausing_open(struct bw_parking *parking, struct bw_error *err);
void bw_pausing_close(struct bw_parking *parking);
bool bw_pausing_apply(struct bw_parking *parking, struct bw_store_op *op, struct bw_error *err); /* BW_OP_PAUSE */
/* Is this run, which comes now, to be held? */
bool bw_pausing_holds_new(struct bw_parking *parking, int64_t run_id, bool *answer, struct bw_error *err);
/* The same of a run that was admitted before and has not begun: not behind others that are being let go. */
bool bw_pausing_holds_admitted(struct bw_parking *parking, int64_t run_id, bool *answer, struct bw_error *err);
/* Its row says so from now on. until_ms: when it is not to begin any more, 0 = no such time, or there is a timer already. */
bool bw_pausing_hold(struct bw_parking *parking, int64_t run_id, int64_t until_ms, struct bw_error *err);
/* Of the workflows that were resumed. *ended: one of them has no held run left. */
bool bw_pausing_release(struct bw_parking *parking, bool *more, bool *ended, struct bw_error *err);
bool bw_pausing_is_due(struct bw_parking *parking, bool *is_due, struct bw_error *err); /* is there one to be let go? */
#endif
