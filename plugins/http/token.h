/* token.h: the OAuth2 token of one connection (client credentials, RFC 6749 section 4.4), in memory and nowhere else: one fetch however many requests
 * wait for it, a new one before it expires, or after a server has refused it. One thread: the host's. */
#ifndef HTTP_TOKEN_H
#define HTTP_TOKEN_H
#include "fault.h"

struct http_connection;
struct http_token; /* opaque */
struct http_token_waiter {
    struct http_token_waiter *next;
    /* Once. fault NULL: http_token_latest() is it. The waiter is out of the list already. */
    void (*ready)(struct http_token_waiter *waiter, const struct http_fault *fault);
};
/* oauth2: that part of the connection's configuration, borrowed as the connection is. NULL without memory. */
struct http_token *http_token_new(const struct bw_plugin_host *host, const struct http_connection *connection, const json_t *oauth2);
void http_token_free(struct http_token *token); /* nobody waits any more */
/* The token, if there is one that is good for a while; else NULL. generation: another for each token. */
const char *http_token_current(const struct http_token *token, unsigned *generation);
/* The same of one that has just come, however short its life. */
const char *http_token_latest(const struct http_token *token, unsigned *generation);
/* ready() will be called. False: it will not, and fault says why no fetch could be begun. The secrets are those that the call may read. */
bool http_token_wait(struct http_token *token, struct http_token_waiter *waiter, const struct bw_plugin_call *call, struct http_fault *fault);
void http_token_leave(struct http_token *token, struct http_token_waiter *waiter); /* also one that does not wait */
/* A server has answered 401 to the one of that generation. */
void http_token_reject(struct http_token *token, unsigned generation);
int64_t http_now_ms(void); /* monotonic */
#endif
