/* unix_socket.h: a listening Unix socket and its file. The kernel leaves the file behind when a process dies, so one is there that nobody listens on
 * any more: it is replaced, but no other file, and no socket on which anybody still listens. */
#ifndef BW_INGEST_UNIX_SOCKET_H
#define BW_INGEST_UNIX_SOCKET_H
#include "base/error.h"
#include <sys/types.h>

struct bw_unix_socket { /* all zero: there is no file to remove */
    const char *path;   /* borrowed */
    dev_t device;
    ino_t inode;
};
/* A descriptor that listens, or -1: listen.in_use, listen.denied, listen.path, listen.failed. Nobody can connect before the file has its mode.
 * path: at most as long as sun_path allows. */
int bw_unix_socket_open(const char *path, unsigned mode, int backlog, struct bw_unix_socket *out, struct bw_error *err);
void bw_unix_socket_claim(const char *path, struct bw_unix_socket *out); /* the one that is there is ours, made by the program before this one */
void bw_unix_socket_remove(struct bw_unix_socket *socket);               /* the file, if it is still this socket's. May be called twice */
#endif
