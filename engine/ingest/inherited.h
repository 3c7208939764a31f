/* inherited.h: listening sockets that the process was started with (systemd's socket activation: LISTEN_FDS, LISTEN_PID; sd_listen_fds(3)). They stay
 * open in the service manager while the engine is away: connections wait in their backlog, none is refused. Main thread. */
#ifndef BW_INGEST_INHERITED_H
#define BW_INGEST_INHERITED_H
#include "base/error.h"
#include "config/config.h"
#include <stddef.h>

struct sockaddr;
struct bw_inherited {
    int *fds; /* one for each config->listen; -1: none, it is opened. NULL: there are none */
    size_t count;
};
/* Takes the variables out of the environment and finds each socket's address in `listen`: as it is written there, nothing is guessed. False: one is
 * no listening stream socket (listen.inherited_kind), is for no address or for one that has one already (listen.inherited); none is open then. */
bool bw_inherited_take(const struct bw_config *config, struct bw_inherited *out, struct bw_error *err);
void bw_inherited_close(struct bw_inherited *inherited); /* also one that is all zero */

/* How many descriptors are for the process `pid`; 0: none. Of the variables' texts, each NULL when it is not set. */
size_t bw_inherited_count(const char *listen_pid, const char *listen_fds, long pid);
/* Is that the address, as getsockname() tells it? */
bool bw_inherited_is(const struct bw_listen *listen, const struct sockaddr *address, size_t len);
#endif
