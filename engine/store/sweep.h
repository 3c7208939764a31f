/* sweep.h: finds, repairs and REPORTS what must not happen: semantics.md 2.4. Each finding is a fault of this program, or a damaged file: it is
 * logged as an error ("store.repaired": what, and of which run), counted for good (meta.repairs, bw_store_repairs()), and put right so that nobody
 * waits for ever because of it.
 *
 * A pass looks at parked, active, delayed and blocked runs, timers, waits, wakes, the queue, joins, slots and collectors, in the order of their ids,
 * with one statement each (schema/write.sql, sweep_…; the integration tests run the same statements over the data folder of every test). It begins
 * when the store is opened and then each minute, in slices of BW_SWEEP_ROWS while the writer is idle, twice a second when it never is; what a
 * minute's share does not reach is looked at in the next one. Only a slice with a finding makes a transaction. What is true between two transactions
 * is what counts: a sweep never sees half of one.
 *
 * Whoever adds something that must not happen adds a statement with its columns (id to go on behind, fault, run) to `checks` and its repair to
 * repair() in sweep.c. Writer thread, outside of transactions. */
#ifndef BW_STORE_SWEEP_H
#define BW_STORE_SWEEP_H
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

#define BW_SWEEP_ROWS 200
#define BW_SWEEP_CHECKS 12

struct bw_writer;
struct bw_sweep {                        /* zero-initialise, then bw_sweep_open(). Fields are sweep.c's */
    size_t check;                        /* of those that a pass has */
    int64_t cursor;                      /* the id that it has reached */
    size_t slices;                       /* of this minute */
    int64_t next_pass_us, next_slice_us; /* bw_clock_mono_us() */
    _Atomic uint64_t repairs;
};

bool bw_sweep_open(struct bw_writer *writer, struct bw_error *err);
/* Microseconds until there is a slice to do: 0 = now. */
int64_t bw_sweep_wait_us(const struct bw_sweep *sweep, bool is_idle);
bool bw_sweep_slice(struct bw_writer *writer, struct bw_error *err); /* after a failure: again in a minute */
#endif
