/* callback.h: /callback/TOKEN: a POST with a JSON body is the result of a step that waits for it; every other method is refused, so looking at the
 * link changes nothing. The loop checks the link, which needs nothing but the key; only then the main thread is asked (asked.h). What is told is on
 * disk. Nothing of it is recorded as a delivery, except links that no key of ours made. The loop's thread. */
#ifndef BW_INGEST_CALLBACK_H
#define BW_INGEST_CALLBACK_H
#include "ingest/loop.h"

#define BW_CALLBACK_BODY_MAX (1u << 20)

bool bw_callback_is_path(struct bw_slice path);
/* What the request has to say is in loop->parts. False: no key of ours made this link, or it is no link: nothing was answered. */
bool bw_callback_request(struct bw_connection *connection, struct bw_slice remote);
#endif
