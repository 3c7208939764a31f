/* listener.h: listening sockets that we make ourselves: evhttp's own have a backlog of 128 and no choice of options. */
#ifndef BW_INGEST_LISTENER_H
#define BW_INGEST_LISTENER_H
#include "base/error.h"
#include "config/config.h"
#include "ingest/unix_socket.h"
#include <stddef.h>

struct bw_listener {
    uint16_t port; /* the real one; 0: a Unix socket */
    struct bw_unix_socket file;
};
/* Fills in `count` descriptors for one address, which share its connections: of a port each is a socket of its own (SO_REUSEPORT), of a Unix socket
 * all are the same one. `listen` stays where it is until bw_listener_close(). On failure nothing is left open: listen.in_use, listen.denied,
 * listen.no_address, listen.address, listen.path, listen.failed. */
bool bw_listener_open(const struct bw_listen *listen, int *fds, size_t count, struct bw_listener *out, struct bw_error *err);
/* The same of a socket that the process was started with, `fd`, which stays the caller's: all are it. */
bool bw_listener_adopt(int fd, int *fds, size_t count, struct bw_listener *out, struct bw_error *err);
void bw_listener_close(struct bw_listener *listener); /* removes the file of a Unix socket; the descriptors are not its own. May be called twice */
#endif
