/* linger.h: sockets on which the last answer has been written, while their peers may still be sending. To close a socket with unread bytes in it
 * makes the kernel send a reset, throw away what it has not sent yet, and the peer may throw away what it has not read yet: the answers that it is
 * owed. So the engine only says that it sends nothing more, reads and drops what comes, and closes when the peer has closed, has been silent for a
 * while, or has had its time or its amount (nginx calls it a lingering close).
 *
 * Such a socket counts as the connection that it was, so nobody has more of them than connections; above a quarter of all there may be they are
 * closed at once. The loop's thread. */
#ifndef BW_INGEST_LINGER_H
#define BW_INGEST_LINGER_H
#include "ingest/loop.h"
#include "ingest/origins.h"

/* True: fd and origin are taken over (it is no longer counted in *origin). is_told: the peer has been told that this was the last answer, so it may
 * be sending; else it only lingers if there are unread bytes. False: there is nothing to wait for, and fd is still the caller's. */
bool bw_linger(struct bw_loop *loop, int fd, struct bw_origin *origin, bool is_told);
void bw_linger_sweep(struct bw_loop *loop, int64_t now_us);
void bw_linger_end_all(struct bw_loop *loop); /* what has come is read, and all are closed */
#endif
