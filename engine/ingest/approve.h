/* approve.h: /approve/TOKEN: GET and HEAD show what is to be decided, a POST with a choice decides (semantics.md 2.5: mail scanners follow links, so
 * nothing else does). The loop checks the link, which needs nothing but the key; only then the main thread is asked
 * (asked.h). A decision is told when it is on disk. Nothing of it is recorded as a delivery, except links that no key of ours made. The loop's
 * thread. */
#ifndef BW_INGEST_APPROVE_H
#define BW_INGEST_APPROVE_H
#include "ingest/loop.h"

bool bw_approve_is_path(struct bw_slice path);
/* What the request has to say is in loop->parts. False: no key of ours made this link, or it is no link: nothing was answered. */
bool bw_approve_request(struct bw_connection *connection, struct bw_slice remote);
#endif
