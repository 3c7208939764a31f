/* connection.h: the named connections of `configure: {http: {connections: […]}}`: a base URL, and how one proves there who one is. What they hold
 * goes to the origin of the base URL (and of token_url) and nowhere else. Secrets are asked for in each call, and kept by nothing here. One thread:
 * the host's. */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H
#include "fault.h"
#include "token.h"

struct http_connection {
    const char *name, *base_url;
    const json_t *config;
    struct http_loop *loop;
    struct http_token *token; /* NULL: no oauth2 */
};
struct http_connections {
    const struct bw_plugin_host *host;
    json_t *json; /* owns the texts */
    struct http_connection *list;
    size_t count;
};
/* False: error says what is wrong, with the cure. http_connections_free() in either case. */
bool http_connections_read(struct http_connections *connections, const struct bw_plugin_host *host, const char *config, char *error, size_t size);
void http_connections_free(struct http_connections *connections);
/* NULL: reason names those that there are. */
struct http_connection *http_connections_find(const struct http_connections *connections, const char *name, char *reason, size_t size);

/* The URL of a request: `url` on the base, or `url` itself if it is of the same origin. The caller's (free()). NULL: reason */
char *http_connection_url(const struct http_connection *connection, const char *url, char *reason, size_t size);
/* Adds the connection's headers that are not there yet, and, without oauth2, what it proves itself by: that secret text, as it is sent, is given in
 * *credential (free() after cleansing; NULL: none). False: reason */
bool http_connection_headers(const struct http_connection *connection, const struct bw_plugin_host *host, const struct bw_plugin_call *call,
                             struct curl_slist **headers, char **credential, char *reason, size_t size);
/* TLS and proxy of a transfer. False: reason */
bool http_connection_equip(const struct http_connection *connection, const struct bw_plugin_call *call, struct http_transfer *transfer, char *reason,
                           size_t size);
/* A secret that a part of the configuration names. NULL: there is none, or (then reason is set) it is not there. */
const char *http_connection_secret(const json_t *part, const char *field, const struct bw_plugin_host *host, const struct bw_plugin_call *call,
                                   char *reason, size_t size);
char *http_basic(const char *user, const char *password); /* what stands behind "Basic ". The caller's */
#endif
