/* slots.h: runs that may be active only so many at a time (`concurrency` of a workflow). A group has slots; a run of it is ACTIVE with one, or
 * BLOCKED and waits for one, in the order of the events. All of it is rows (schema/009_slots.sql), written in the transaction of what causes it: a
 * run's end gives its slot to the next one, so that none is lost and none is used twice.
 *
 * Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_SLOTS_H
#define BW_STORE_SLOTS_H
#include "store/parking.h"

/* A new run, whose row says BLOCKED: it gets a slot and a place in the queue, or waits, or is not to be run (`when_full`). */
bool bw_slots_admit(struct bw_parking *parking, int64_t run_id, int64_t event_id, const struct bw_run_row *run, struct bw_error *err);
bool bw_slots_parked(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
/* It was parked and is ACTIVE. *may_go false: it has given its slot up and waits for one: it is BLOCKED now. */
bool bw_slots_woken(struct bw_parking *parking, int64_t run_id, bool *may_go, struct bw_error *err);
bool bw_slots_ended(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
#endif
