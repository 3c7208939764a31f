/* admission.h: requests whose head is read and for whose body there is no room now (in_flight_bytes): they wait for it, unread, at the cost of their
 * socket. A burst of large bodies is taken a little later then, and not refused; and in a flood nobody pays for refusing who comes again at once.
 *
 * The newest is let in first: when more come than can be taken all would be late otherwise, and so those are on time that are let in. Who has waited
 * for 2 s, or half of request_deadline if that is less, is refused. Only those wait that have to prove something (load.h): the rest is refused as
 * soon as its half is full. The loop's thread.
 */
#ifndef BW_INGEST_ADMISSION_H
#define BW_INGEST_ADMISSION_H
#include "ingest/connections.h"

void bw_admission_wait(struct bw_connection *connection);
void bw_admission_leave(struct bw_connection *connection); /* it does not wait any more; harmless if it does not */
void bw_admission_look(struct bw_loop *loop);              /* there may be room */
void bw_admission_sweep(struct bw_loop *loop, int64_t now_us);
bool bw_admission_open(struct bw_loop *loop);
void bw_admission_close(struct bw_loop *loop);
#endif
