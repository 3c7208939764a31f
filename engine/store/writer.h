/* writer.h: everything that only the writer thread touches: the connection, what is remembered beside it, and how a group of operations
 * becomes one transaction. store.c owns the thread and the queue; this side knows no other thread. */
#ifndef BW_STORE_WRITER_H
#define BW_STORE_WRITER_H
#include "store/dedupe.h"
#include "store/deliveries.h"
#include "store/parking.h"
#include "store/retention.h"
#include "store/store.h"
#include "store/sweep.h"
#include "store/write_sql.h"

struct bw_writer { /* zero-initialise with reserve -1, then bw_writer_open(); bw_writer_close() also after a failed one */
    sqlite3 *db;
    char *folder; /* NULL = in memory */
    struct bw_write_statements sql;
    struct bw_dedupe dedupe;
    struct bw_deliveries deliveries;
    struct bw_parking parking;
    struct bw_retention retention; /* set retention.keep before bw_writer_open(); zero = nothing is ever removed */
    struct bw_sweep sweep;
    int log_frames;          /* in the log after the last commit */
    int checkpointed_frames; /* what that was at the last checkpoint; 0 = the log began anew since */
    int reserve;             /* descriptor of the space kept for a full disk, -1 = none */
    int64_t reserve_tried_us, warned_us;
    bool is_shrinking; /* incremental_vacuum has freed pages that the next checkpoint cuts off */
};

bool bw_writer_open(struct bw_writer *writer, const char *folder, struct bw_error *err);
void bw_writer_close(struct bw_writer *writer, bool checkpoint);

/* One transaction with the operations from `first` to the end of the list. On failure nothing of it was written and err says why; then
 * "store.full" and "store.busy" concern all of them, "store.failed" the store, anything else the operation that *culprit names (NULL = not
 * one of them). Does not call done(). */
bool bw_writer_commit(struct bw_writer *writer, struct bw_store_op *first, struct bw_store_op **culprit, struct bw_error *err);
bool bw_writer_apply(struct bw_writer *writer, struct bw_store_op *op, struct bw_error *err); /* one operation, inside the transaction (apply.c) */

/* Keeps the log short. is_busy: others wait already. false only when the store has failed. */
bool bw_writer_checkpoint_if_due(struct bw_writer *writer, bool is_busy, struct bw_error *err);
/* Between two groups: checkpoint, some who are still to be woken, a look of the sweeper, and as much of retention as accepting does not notice. false
 * only when the store has failed. */
bool bw_writer_between_groups(struct bw_writer *writer, bool is_busy, struct bw_error *err);
/* A bit of work that can wait: who is still to be woken, merging, retention, the sweeper, giving space back, checkpoint, the reserve. *again_ms: when
 * to call again if nothing happens until then; 0 = at once. false only when the store has failed. */
bool bw_writer_idle(struct bw_writer *writer, int *again_ms, struct bw_error *err);
/* After "store.full": gives back the reserved space and shortens the log with it. false only when the store has failed. */
bool bw_writer_relieve(struct bw_writer *writer, struct bw_error *err);
#endif
