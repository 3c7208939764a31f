#include "ingest/stream.h"
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

void bw_stream_open(struct bw_stream *stream, int fd, SSL *ssl)
{
    *stream = (struct bw_stream){.fd = fd, .ssl = ssl};
}

static ssize_t explain(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? BW_STREAM_LATER : BW_STREAM_BROKEN;
}

static int some_of(size_t len)
{
    return len < INT_MAX ? (int)len : INT_MAX;
}

/* A peer that closes without a goodbye has ended, too: how long a request is says the request. */
static ssize_t explain_ssl(const struct bw_stream *stream, int result)
{
    int why = SSL_get_error(stream->ssl, result);
    bool has_ended = why == SSL_ERROR_ZERO_RETURN || (why == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
    ERR_clear_error();
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return BW_STREAM_LATER;
    return has_ended && SSL_is_init_finished(stream->ssl) ? BW_STREAM_ENDED : BW_STREAM_BROKEN;
}

ssize_t bw_stream_read(struct bw_stream *stream, void *bytes, size_t room)
{
    if (!stream->ssl) {
        ssize_t len = recv(stream->fd, bytes, room, 0);
        return len >= 0 ? len : explain();
    }
    ERR_clear_error();
    int len = SSL_read(stream->ssl, bytes, some_of(room));
    stream->wants_write = len <= 0 && SSL_want_write(stream->ssl);
    return len > 0 ? len : explain_ssl(stream, len);
}

ssize_t bw_stream_write(struct bw_stream *stream, const void *bytes, size_t len)
{
    if (!stream->ssl) {
        ssize_t written = send(stream->fd, bytes, len, MSG_NOSIGNAL);
        return written >= 0 ? written : explain();
    }
    ERR_clear_error();
    int written = SSL_write(stream->ssl, bytes, some_of(len));
    if (written > 0) return written;
    ssize_t why = explain_ssl(stream, written);
    return why == BW_STREAM_ENDED ? BW_STREAM_BROKEN : why;
}

bool bw_stream_has_more(const struct bw_stream *stream)
{
    return stream->ssl && SSL_has_pending(stream->ssl);
}

int bw_stream_release(struct bw_stream *stream, bool is_good)
{
    int fd = stream->fd;
    ERR_clear_error();
    if (stream->ssl && is_good && SSL_is_init_finished(stream->ssl)) SSL_shutdown(stream->ssl);
    SSL_free(stream->ssl); /* not the descriptor: its BIO does not own it */
    ERR_clear_error();
    *stream = (struct bw_stream){.fd = -1};
    return fd;
}
