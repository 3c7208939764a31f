/* pauses.h: reading what is paused (pausing.h is who writes it), and how many runs a workflow has. As the reading part of store.h. */
#ifndef BW_STORE_PAUSES_H
#define BW_STORE_PAUSES_H
#include "store/store.h"

struct bw_pause { /* a workflow that is paused; borrowed until the visit returns */
    struct bw_slice workflow, actor, reason;
    int64_t since_ms;
    int64_t resumed_ms; /* it is not any more, and its held runs are being let go; 0: it is */
};
typedef bool bw_pause_visit(void *arg, const struct bw_pause *pause);
bool bw_reader_pauses(struct bw_reader *reader, bw_pause_visit *visit, void *arg, struct bw_error *err);
struct bw_run_counts {                      /* of one workflow */
    uint64_t held, active, waiting, failed; /* waiting: delayed, blocked, parked. failed: nothing has been done about it */
};
bool bw_reader_run_counts(struct bw_reader *reader, struct bw_slice workflow, struct bw_run_counts *counts, struct bw_error *err);
#endif
