/* listener.h: listening sockets that we make ourselves: their options and their backlog are ours to choose. */
#ifndef BW_INGEST_LISTENER_H
#define BW_INGEST_LISTENER_H
#include "base/error.h"
#include "config/config.h"
#include "ingest/unix_socket.h"
#include <stddef.h>

struct bw_listener {
    uint16_t port; /* the real one; 0: a Unix socket */
    struct bw_unix_socket file;
    bool is_given; /* by the service manager */
};
/* Fills in `count` descriptors for one address, which share its connections: of a port each is a socket of its own (SO_REUSEPORT), of a Unix socket
 * all are the same one. `listen` stays where it is until bw_listener_close(). On failure nothing is left open: listen.in_use, listen.denied,
 * listen.no_address, listen.address, listen.path, listen.failed. */
bool bw_listener_open(const struct bw_listen *listen, int *fds, size_t count, struct bw_listener *out, struct bw_error *err);
/* The same of sockets that the process was started with (one at least, all of `listen`), which stay the caller's. Each is among the `count`, which
 * are as many or more. is_given: its file stays when we end. */
bool bw_listener_adopt(const struct bw_listen *listen, const int *given, size_t given_count, bool is_given, int *fds, size_t count,
                       struct bw_listener *out, struct bw_error *err);
void bw_listener_close(struct bw_listener *listener); /* removes the file of a Unix socket; the descriptors are not its own. May be called twice */
#endif
