/* stream.h: the bytes of one connection, plain or by TLS: non-blocking, and without a buffer of its own. The loop's thread. */
#ifndef BW_INGEST_STREAM_H
#define BW_INGEST_STREAM_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct ssl_st SSL;

enum { BW_STREAM_ENDED = 0, BW_STREAM_LATER = -1, BW_STREAM_BROKEN = -2 }; /* in place of how many bytes: the peer sends no more; not now; for good */

struct bw_stream {
    int fd;           /* -1: closed */
    SSL *ssl;         /* NULL: plain. Reading and writing do its handshake */
    bool wants_write; /* the last read was put off until something can be written */
};
void bw_stream_open(struct bw_stream *stream, int fd, SSL *ssl); /* takes both over; ssl has fd already */
ssize_t bw_stream_read(struct bw_stream *stream, void *bytes, size_t room);
/* What was not written is to be given again, by itself or with more behind it. */
ssize_t bw_stream_write(struct bw_stream *stream, const void *bytes, size_t len);
bool bw_stream_has_more(const struct bw_stream *stream); /* something was read from the socket and not asked for yet: epoll does not tell of it */
/* Forgets TLS, and gives the descriptor to the caller. is_good: the peer is told that nothing more comes. */
int bw_stream_release(struct bw_stream *stream, bool is_good);
#endif
