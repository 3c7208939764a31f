/* loop.h: libcurl's transfers on the host's loop (multi_socket). Transfers of two loops never share a connection, so each named connection has one of
 * its own: what one has proved who it is by is of no use to another. One thread: the host's. */
#ifndef HTTP_LOOP_H
#define HTTP_LOOP_H
#include "bellwire_plugin.h"
#include <curl/curl.h>

struct http_loop; /* opaque */
/* over: a transfer has ended; the handle is not in the loop any more, and others may be added. NULL without memory. */
struct http_loop *http_loop_new(const struct bw_plugin_host *host, void (*over)(CURL *easy, CURLcode result));
void http_loop_free(struct http_loop *loop);
bool http_loop_add(struct http_loop *loop, CURL *easy);
void http_loop_remove(struct http_loop *loop, CURL *easy); /* over() is not called */
#endif
