/* collect.h: events of which one run is made (`collect` of a workflow): semantics.md 2.5. The worker reports the event instead of a run, with the
 * group that it belongs to, since keys are expressions. It goes into the group's collector, which has a time: so long after the last event, so long
 * after the first one, or now when it is full. Then one transaction closes the collector and makes the run of its last event, which is admitted as
 * every new run is (admission.h), and reads all of them. All of it is rows (schema/013_collect.sql), so that each event is in one collector whatever
 * happens; an event that is looked at once more after a crash stays where it is.
 *
 * Time is when an event came into its collector, not when it was accepted: after a rest of the engine a backlog is one burst. A workflow without
 * `collect` costs no statement here.
 *
 * Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_COLLECT_H
#define BW_STORE_COLLECT_H
#include "store/parking.h"

bool bw_collect_add(struct bw_parking *parking, int64_t event_id, const struct bw_run_row *run, struct bw_error *err);
/* Makes the runs of the collectors whose time has come; of the WAKE only what is given of the catalogue and now_ms is read. */
bool bw_collect_fire(struct bw_parking *parking, const struct bw_store_op *wake, bool *more, struct bw_error *err);
bool bw_collect_next_due(struct bw_parking *parking, int64_t *due_ms, struct bw_error *err); /* 0: nothing is collected */
/* The sweeper: it is closed and has no run, or is open and has no events. */
bool bw_collect_repair(struct bw_parking *parking, int64_t collector_id, struct bw_error *err);
#endif
