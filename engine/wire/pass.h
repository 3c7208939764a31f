/* pass.h: descriptors from the engine to its children: a socketpair of its own, so that channels are plain bytes. Each message is one descriptor and
 * the number by which the messages of a channel name it. Any thread, one at a time on each end. */
#ifndef BW_WIRE_PASS_H
#define BW_WIRE_PASS_H
#include <stdbool.h>
#include <stdint.h>

/* Neither end blocks; both are closed on exec. False: errno says why. */
bool bw_pass_pair(int pair[2]);
/* fd stays the caller's. False, errno EAGAIN: the other end has not taken the ones before it. */
bool bw_pass_send(int socket, int64_t number, int fd);
/* The next one, the caller's (closed on exec); -1: there is none now (errno EAGAIN), or there will be none any more (errno 0 or another one). */
int bw_pass_take(int socket, int64_t *number);
#endif
