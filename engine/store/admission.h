/* admission.h: when a run begins that does not begin at once (`rate`, `delay`, `start_within`, `concurrency`): semantics.md 2.5, "Admission order".
 * The worker reports it as BLOCKED and without steps, or the step that calls its workflow (struct bw_join_new), with what that says (struct
 * bw_start_new, struct bw_slot_new), since keys are expressions; what becomes of it is decided here, in the transaction that makes its row: DELAYED
 * its turn under the rate, or its time, has not come: rates.h. Its timer has the path ~start BLOCKED   it waits for a slot: slots.h ACTIVE    and in
 * the queue, as if it had been woken HELD   its workflow is
 * paused: pausing.h SKIPPED, FAILED   it is not run, and its error says why, with figures A run that begins at once, or whose
 * workflow says nothing of the kind, costs no statement here.
 *
 * Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_ADMISSION_H
#define BW_STORE_ADMISSION_H
#include "store/asks.h"
#include "store/parking.h"

struct bw_admitted {
    int64_t id, event_id;
    bool is_called; /* a step has started it */
    struct bw_asks asks;
};
/* A new run; its row says BLOCKED. */
bool bw_admission_decide(struct bw_parking *parking, const struct bw_admitted *run, struct bw_error *err);
/* The step has called a workflow, perhaps once more: the same for that run. After its parent has parked, if it does: what becomes of it may wake
 * that. */
bool bw_admission_of_call(struct bw_parking *parking, int64_t parent_id, struct bw_slice path, struct bw_error *err);
/* The timer with this path has fired: one of the two that runs have which have not begun. */
bool bw_admission_fire(struct bw_parking *parking, int64_t run_id, struct bw_slice path, int64_t now_ms, struct bw_error *err);
bool bw_admission_owns(struct bw_slice path);
/* Its workflow is not paused any more: it is admitted as if it came now, with what was left of its delay. */
bool bw_admission_release(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
/* Somebody has it run once more; its row says ACTIVE and it is not in the queue: it is put there, or waits for its slot, whatever its workflow says
 * of full groups. after: the run that it repeats, whose slot it takes over if that one was kept; 0 = none. */
bool bw_admission_again(struct bw_parking *parking, int64_t run_id, int64_t after, struct bw_error *err);
/* The run has ended for whoever is counted. */
bool bw_admission_ended(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
/* The sweeper: a run that has not begun has nothing that would let it begin. */
bool bw_admission_repair(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
#endif
