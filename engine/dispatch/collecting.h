/* collecting.h: what BW_OP_WAKE is told of the current catalogue: a run that is made of collected events (store.h) begins with the version of its
 * workflow that is active then, and events that come now are bound to it. Main thread; the operation borrows it until it is done. */
#ifndef BW_DISPATCH_COLLECTING_H
#define BW_DISPATCH_COLLECTING_H
#include "dispatch/internal.h"

struct bw_collecting { /* zero-initialise */
    json_t *workflows;
    struct bw_collect_version *versions;
};
/* False: the catalogue is not known yet, or there is no memory: not now. */
bool bw_collecting_fill(struct bw_dispatch *dispatch, struct bw_collecting *collecting, struct bw_store_op *wake);
void bw_collecting_release(struct bw_collecting *collecting); /* the operation is done */
#endif
