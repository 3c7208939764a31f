/* later.h: events that come later (`emit` with `delay`): semantics.md 2.5. They are stored with the step that causes them and accepted, as every
 * event is, in a transaction of their own when their time has come: so they are caused exactly once, and wake and start what waits for them then. All
 * of it is rows (schema/018_later.sql).
 *
 * Writer thread, inside a transaction, as parking.h. Without such events no statement is run. */
#ifndef BW_STORE_LATER_H
#define BW_STORE_LATER_H
#include "base/buf.h"
#include "store/parking.h"

bool bw_later_put(struct bw_parking *parking, const struct bw_event_new *event, struct bw_error *err);

struct bw_later { /* zero-initialise; bw_later_free() */
    struct bw_event_new event;
    int64_t id;
    bool is_damaged; /* the body is not what was put: its checksum says so */
    struct bw_buf bytes;
};
/* *found: the first one whose time has come, with all but what depends on the catalogue: revision, is_done and keys. It stays there. */
bool bw_later_first(struct bw_parking *parking, int64_t now_ms, struct bw_later *later, bool *found, struct bw_error *err);
bool bw_later_remove(struct bw_parking *parking, int64_t id, struct bw_error *err);
void bw_later_free(struct bw_later *later);
bool bw_later_next_due(struct bw_parking *parking, int64_t *due_ms, struct bw_error *err); /* 0: there is none */
#endif
