/* fetches.h: keys that senders publish are fetched by a worker, never by the engine's process, and end in the key ring. */
#ifndef BW_DISPATCH_FETCHES_H
#define BW_DISPATCH_FETCHES_H
#include "dispatch/dispatch.h"
#include "source/source.h"

/* Any thread; the wish is copied. The ring hears of the end, whatever it is, and then `keys_changed` is called (bw_dispatch_options). */
void bw_dispatch_fetch_key(struct bw_dispatch *dispatch, const struct bw_key_wish *wish);
#endif
