/* http_post.h: one POST, for `bellwire send` and `bellwire mcp`. Blocking; any thread, when bw_libcurl_load() has been called. */
#ifndef BW_CMD_HTTP_POST_H
#define BW_CMD_HTTP_POST_H
#include "base/buf.h"
#include "base/error.h"

struct bw_http_post {
    const char *url;         /* http or https */
    const char *socket_path; /* a Unix socket on which it is asked, or NULL */
    const char *ca_file;     /* whom to trust instead of the system's authorities, or NULL */
    struct bw_slice headers; /* "Name: value\n" lines */
    struct bw_slice body;
    long timeout_s;          /* 0: 30 */
    size_t answer_bytes_max; /* 0: 1 MiB */
};
/* status and answer (the body) are filled when an answer came. */
bool bw_http_post(const struct bw_http_post *post, unsigned *status, struct bw_buf *answer, struct bw_error *err);
#endif
