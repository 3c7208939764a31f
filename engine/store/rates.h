/* rates.h: how many runs of a group begin in a time (`rate` of a workflow): GCRA, one row a group (schema/012_admission.sql), written in the
 * transaction that admits or begins the run, so that no crash gives anybody more, or less, than the rate.
 *
 * A start pays one interval (period / count); it may begin while no more than burst - 1 intervals are owed. Two numbers are kept: what the runs that
 * have begun owe decides who begins; what those who wait will owe besides tells each when its turn will be. Whoever waits is a row in `delayed`, in
 * the order of admission; only the first of a group has a timer. So whatever happens to timers and clocks, at each start it is looked whether one is
 * due, and none overtakes another one.
 *
 * Time is the wall clock's, since it outlives the process. In any time of length T at most T * count / period + burst begin: by that clock when it
 * jumps ahead; when it is set back, by the time that has passed, since nobody can owe more than burst intervals: more than that is the clock's fault
 * and is forgotten. Who has a timer then waits for it, as all timers do.
 *
 * Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_RATES_H
#define BW_STORE_RATES_H
#include "store/parking.h"

struct bw_turn {                   /* of a run that would be admitted now */
    int64_t at_us;                 /* when it is its turn */
    bool is_delayed;               /* it has to wait: for its turn, or because others do */
    bool is_late;                  /* later than it would be without the rate */
    int64_t taken_us, reserved_us; /* the row, if it is admitted */
};
bool bw_rates_look(struct bw_parking *parking, const struct bw_start_new *start, int64_t now_ms, struct bw_turn *turn, struct bw_error *err);
/* It is admitted: begins now, or is one of those that wait. */
bool bw_rates_take(struct bw_parking *parking, int64_t run_id, const struct bw_start_new *start, const struct bw_turn *turn, int64_t now_ms,
                   struct bw_error *err);
/* The timer of the run has fired. *begins false: it is not its turn yet, and there is another timer. */
bool bw_rates_begin(struct bw_parking *parking, int64_t run_id, const struct bw_start_new *start, int64_t now_ms, bool *begins, struct bw_error *err);
/* The run has ended; perhaps it was waiting. */
bool bw_rates_ended(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
#endif
