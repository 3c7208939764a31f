/* collection.h: what can be read of events that were collected (struct bw_collect_new of store.h): of which ones a run was made, and where an event
 * went. Any thread, with a reader of its own; what a visit is given is borrowed until it returns. */
#ifndef BW_STORE_COLLECTION_H
#define BW_STORE_COLLECTION_H
#include "store/store.h"

/* The events of which a run was made, below this one, ascending. */
bool bw_reader_collected(struct bw_reader *reader, int64_t collector_id, int64_t below, bool with_body, bw_event_visit *visit, void *arg,
                         struct bw_error *err);
struct bw_collection { /* where an event went that was collected */
    struct bw_slice workflow;
    uint32_t count;            /* of events, so far */
    int64_t first_ms, last_ms; /* when the first and the last one came in */
    int64_t due_ms;            /* when its run will be made; 0: it was */
    struct bw_uid run;         /* zero: it will be, or is gone */
    enum bw_run_state state;
};
typedef bool bw_collection_visit(void *arg, const struct bw_collection *collection);
bool bw_reader_collections(struct bw_reader *reader, int64_t event_id, bw_collection_visit *visit, void *arg, struct bw_error *err);
#endif
