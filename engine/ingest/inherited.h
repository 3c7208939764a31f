/* inherited.h: listening sockets that the process was started with (systemd's socket activation: LISTEN_FDS, LISTEN_PID; sd_listen_fds(3)), and those
 * that it hands over to the program that takes its place (serve/upgrade.h), in the same way. They stay open meanwhile: connections wait in their
 * backlog, none is refused. Main thread. */
#ifndef BW_INGEST_INHERITED_H
#define BW_INGEST_INHERITED_H
#include "base/error.h"
#include "config/config.h"
#include <stddef.h>

struct sockaddr;
struct bw_inherited_socket {
    int fd;
    size_t listen; /* for which config->listen */
    bool is_given; /* by the service manager: the file of a Unix socket is not ours to remove */
};
struct bw_inherited { /* all zero: there are none */
    struct bw_inherited_socket *sockets;
    size_t count;
};
/* Takes the variables out of the environment and finds each socket's address in `listen`: as it is written there, nothing is guessed. False: one is
 * no listening stream socket (listen.inherited_kind), is for no address or for one that has one already (listen.inherited); none is open then.
 * What an engine has handed over (bw_inherited_hand_over) is less strict: an address may have several, port 0 is any port, and one that
 * no address is for any more is closed (listen.given_up in the log). */
bool bw_inherited_take(const struct bw_config *config, struct bw_inherited *out, struct bw_error *err);
size_t bw_inherited_find(const struct bw_inherited *inherited, size_t listen, size_t from); /* the next one of that address; count: no more */
/* Just before execve(): the descriptors become 3, 4, … and stay open in the next program, whatever was there before; their own are closed. */
bool bw_inherited_hand_over(struct bw_inherited *inherited, struct bw_error *err);
void bw_inherited_close(struct bw_inherited *inherited); /* also one that is all zero */

/* How many descriptors are for the process `pid`; 0: none. Of the variables' texts, each NULL when it is not set. */
size_t bw_inherited_count(const char *listen_pid, const char *listen_fds, long pid);
/* Is that the address, as getsockname() tells it? any_port: port 0 of `listen` is each one. */
bool bw_inherited_is(const struct bw_listen *listen, const struct sockaddr *address, size_t len, bool any_port);
#endif
