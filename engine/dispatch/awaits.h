/* awaits.h: the catalogue revision that an accepted event is bound to, and whether any workflow of that revision waits for its name. What nobody
 * waits for is done when it is stored, and costs no worker anything.
 *
 * Both answers come from one immutable object behind one pointer: an event can never be stored as done under a revision that waits for it.
 * THREADS: the main thread publishes, reclaims and ends; any thread binds, without locks. An old object is freed when the main thread has seen no
 * reader inside since it was replaced: whoever comes in after that finds the new one. */
#ifndef BW_DISPATCH_AWAITS_H
#define BW_DISPATCH_AWAITS_H
#include "base/json.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bw_awaited;
struct bw_awaits { /* all zero: revision 0, everything is awaited */
    _Atomic(struct bw_awaited *) current;
    _Atomic unsigned readers;
    struct bw_awaited *retired; /* replaced, perhaps still read */
};
/* workflows: as in BW_MSG_CATALOG_LOADED, or NULL while they are not known: then every name is awaited. NULL without memory. */
struct bw_awaited *bw_awaited_new(uint32_t revision, const json_t *workflows);
void bw_awaited_free(struct bw_awaited *awaited); /* one that was never published */
void bw_awaits_publish_take(struct bw_awaits *awaits, struct bw_awaited *awaited);
uint32_t bw_awaits_bind(struct bw_awaits *awaits, struct bw_slice event_name, bool *is_awaited); /* any thread: the revision */
bool bw_awaits_reclaim(struct bw_awaits *awaits);                                                /* now and then; true when nothing retired is left */
void bw_awaits_end(struct bw_awaits *awaits);                                                    /* no reader is left */
#endif
