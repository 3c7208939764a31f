/* parking_step.h: what is done with the rows of one step or run; for the files of this room that let runs begin, wait and end. */
#ifndef BW_STORE_PARKING_STEP_H
#define BW_STORE_PARKING_STEP_H
#include "store/parking.h"

bool bw_parking_for_step(sqlite3_stmt *statement, int64_t run_id, struct bw_slice path, struct bw_error *err);        /* runs it with these two */
bool bw_parking_stop_waiting(struct bw_parking *parking, int64_t run_id, struct bw_slice path, struct bw_error *err); /* timer and waits go */
/* The first one stays. */
bool bw_parking_note_watched(struct bw_parking *parking, int64_t run_id, struct bw_error *err); /* bw_store_wakes.watched */
bool bw_parking_put_wake(struct bw_parking *parking, int64_t run_id, struct bw_slice path, const struct bw_wake *wake, struct bw_error *err);
bool bw_parking_event_time(struct bw_parking *parking, int64_t event_id, int64_t *at_ms, struct bw_error *err);
bool bw_parking_set_timer(struct bw_parking *parking, int64_t run_id, struct bw_slice path, int64_t due_ms,
                          struct bw_error *err); /* due_ms 0: none */
/* The timers of a run that has not begun (admission.h); no step has such a path. */
#define BW_PATH_START ((struct bw_slice)BW_SLICE("~start"))
#define BW_PATH_WITHIN ((struct bw_slice)BW_SLICE("~within"))
/* A transaction does no more work of that kind than commits can wait for; some in any case. */
bool bw_parking_is_spent(const struct bw_parking *parking);
void bw_parking_spend(struct bw_parking *parking); /* one more */
/* A run that is not begun after all, or not again: it ends like this, and who waits for it hears of it. by: what has decided that. */
bool bw_parking_refuse(struct bw_parking *parking, int64_t run_id, enum bw_run_state state, const struct bw_error *why, struct bw_slice by,
                       struct bw_error *err);
bool bw_parking_enqueue(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
bool bw_parking_unpark(struct bw_parking *parking, int64_t run_id, struct bw_error *err); /* if it is parked: active, and in the queue */
#endif
