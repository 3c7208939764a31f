/* awaits.h: the catalogue revision that an accepted event is bound to, and whether any workflow of that revision waits for its name. What nobody
 * waits for is done when it is stored, and costs no worker anything.
 *
 * Also the keys that parked runs are woken by (workflow/wait_key.h): one for each pair of name and field that some workflow waits by.
 *
 * All answers come from one immutable object behind one pointer: an event can never be stored as done under a revision that waits for it.
 * THREADS: the main thread publishes, reclaims and ends; any thread binds, without locks. An old object is freed when the main thread has seen no
 * reader inside since it was replaced: whoever comes in after that finds the new one. */
#ifndef BW_DISPATCH_AWAITS_H
#define BW_DISPATCH_AWAITS_H
#include "base/json.h"
#include "store/store.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bw_awaited;
struct bw_awaits { /* all zero: revision 0, nothing is awaited */
    _Atomic(struct bw_awaited *) current;
    _Atomic unsigned readers;
    struct bw_awaited *retired; /* replaced, perhaps still read */
};
struct bw_binding {
    uint32_t revision;
    bool is_awaited;
    int64_t respond_least_ms, respond_most_ms; /* a workflow may want to answer the sender, within so long; 0 = none does */
    size_t key_count;
    uint64_t keys[BW_EVENT_KEYS_MAX];
};
/* workflows: as in BW_MSG_CATALOG_LOADED. pairs: [{event, by}] of this and of earlier catalogues. NULL without memory. */
struct bw_awaited *bw_awaited_new(uint32_t revision, const json_t *workflows, const json_t *pairs);
void bw_awaited_free(struct bw_awaited *awaited); /* one that was never published */
void bw_awaits_publish_take(struct bw_awaits *awaits, struct bw_awaited *awaited);
void bw_awaits_bind(struct bw_awaits *awaits, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out); /* any thread */
/* Of an event that is for this workflow alone, a call of the tool that it is. False: it is none in the catalogue of now. Any thread. */
bool bw_awaits_bind_call(struct bw_awaits *awaits, struct bw_slice workflow, struct bw_slice event_name, struct bw_slice body,
                         struct bw_binding *out);
bool bw_awaits_reclaim(struct bw_awaits *awaits); /* now and then; true when nothing retired is left */
void bw_awaits_end(struct bw_awaits *awaits);     /* no reader is left */
#endif
