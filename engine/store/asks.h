/* asks.h: what a run was admitted with (`rate`, `delay`, `start_within`, `concurrency`, `priority`), as JSON in runs.asks. It outlives what it leads
 * to: a run that is resumed, or repeated, asks for its slot by it.
 *
 * Any thread; the caller owns the buffer. */
#ifndef BW_STORE_ASKS_H
#define BW_STORE_ASKS_H
#include "store/store.h"

struct bw_asks {
    struct bw_slot_new slot;
    struct bw_start_new start;
};
/* Nothing when the run asks for nothing. */
void bw_asks_append(struct bw_buf *out, const struct bw_slot_new *slot, const struct bw_start_new *start);
/* Empty text: it asks for nothing. False: this is not what bw_asks_append() has written. */
bool bw_asks_read(struct bw_slice text, struct bw_asks *asks, struct bw_error *err);
#endif
