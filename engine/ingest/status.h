/* status.h: /status/TOKEN: GET and HEAD tell a sender what has become of the run that it waited for (held.h). The loop checks the link, which needs
 * nothing but the key; only then the main thread is asked (asked.h). Not recorded as a delivery, except links that no key of ours made. The loop's
 * thread. */
#ifndef BW_INGEST_STATUS_H
#define BW_INGEST_STATUS_H
#include "ingest/loop.h"

bool bw_status_is_path(struct bw_slice path);
bool bw_status_request(struct bw_connection *connection); /* false: no key of ours made this link: nothing was answered */
/* The URL of the link: with the scheme and host of public_url when the configuration has one, else the path alone. Empty: there is no key. */
void bw_status_url(struct bw_loop *loop, struct bw_uid event, struct bw_uid run, struct bw_buf *out);
#endif
