/* emits.h: events that runs cause, on their way to the disk with the record of the step that causes them.
 *
 * Made from a report on the main thread: each is bound to the current revision, like one that a sender brings in at this moment. They must live
 * until the report is stored. */
#ifndef BW_DISPATCH_EMITS_H
#define BW_DISPATCH_EMITS_H
#include "dispatch/internal.h"

struct bw_emits { /* zero-initialised; of one report */
    struct bw_event_new *events;
    struct bw_binding *bindings;
    struct bw_buf bytes;
    size_t count, capacity;
};
bool bw_emits_reserve(struct bw_emits *emits, size_t count);
/* Appends those of one step: `list` as in BW_MSG_REPORT. run, workflow: which causes them. False: malformed, or no memory. */
bool bw_emits_read(struct bw_emits *emits, struct bw_dispatch *dispatch, const struct bw_job *job, struct bw_slice run, struct bw_slice workflow,
                   const struct bw_message *message, const json_t *list);
/* Appends the one that says that a run has failed, if any workflow waits for it. `from`: the run in BW_MSG_REPORT. *event: it, or NULL. */
bool bw_emits_failure(struct bw_emits *emits, struct bw_dispatch *dispatch, const struct bw_job *job, const json_t *from,
                      const struct bw_event_new **event);
void bw_emits_fix(struct bw_emits *emits); /* when all are there: before this the events have no bytes */
void bw_emits_free(struct bw_emits *emits);
#endif
