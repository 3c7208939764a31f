/* listener.h: listening TCP sockets that we make ourselves: evhttp's own have a backlog of 128 and no choice of options. */
#ifndef BW_INGEST_LISTENER_H
#define BW_INGEST_LISTENER_H
#include "base/error.h"
#include "config/config.h"
#include <stddef.h>

/* Opens `count` sockets on one address, which share its connections (SO_REUSEPORT) if count is above 1. *port: the real one. On failure nothing is
 * left open: listen.in_use, listen.denied, listen.no_address, listen.address, listen.failed. */
bool bw_listener_open(const struct bw_listen *listen, int *fds, size_t count, uint16_t *port, struct bw_error *err);
#endif
