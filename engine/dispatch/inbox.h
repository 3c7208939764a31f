/* inbox.h: an accepted event in memory, on its way from the listener (or from the store, after a restart) to a worker.
 *
 * One allocation holds the struct and all its bytes; whoever holds a reference may read it from any thread. */
#ifndef BW_DISPATCH_INBOX_H
#define BW_DISPATCH_INBOX_H
#include "base/buf.h"
#include "base/id.h"
#include "base/mailbox.h"
#include <stdatomic.h>
#include <stdint.h>

struct bw_accepted {
    struct bw_mail mail; /* the dispatcher's */
    _Atomic int references;
    void (*release)(struct bw_accepted *accepted); /* frees the allocation when the last reference goes */
    int64_t event_id;                              /* the store's, known after the commit */
    struct bw_uid uid;
    int64_t at_ms;
    uint32_t revision;
    bool trusted;
    struct bw_slice source, name, headers, body, workflow; /* as in struct bw_event_new */
};
static inline void bw_accepted_ref(struct bw_accepted *accepted)
{
    atomic_fetch_add_explicit(&accepted->references, 1, memory_order_relaxed);
}
static inline void bw_accepted_unref(struct bw_accepted *accepted)
{
    if (atomic_fetch_sub_explicit(&accepted->references, 1, memory_order_acq_rel) == 1) accepted->release(accepted);
}
#endif
