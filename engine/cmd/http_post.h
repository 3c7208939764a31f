/* http_post.h: one POST, for `bellwire send`. Blocking, main thread. */
#ifndef BW_CMD_HTTP_POST_H
#define BW_CMD_HTTP_POST_H
#include "base/buf.h"
#include "base/error.h"

/* url: http or https. socket_path: a Unix socket on which it is asked, or NULL. ca_file: whom to trust instead of the system's authorities, or NULL.
 * headers: "Name: value\n" lines. status and answer (the body) are filled when an answer came. */
bool bw_http_post(const char *url, const char *socket_path, const char *ca_file, struct bw_slice headers, struct bw_slice body, unsigned *status,
                  struct bw_buf *answer, struct bw_error *err);
#endif
