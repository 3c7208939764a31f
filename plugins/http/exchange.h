/* exchange.h: what one call asks of a server once, with all that the connection adds to it: a token first if it needs one, and once more with another
 * token if the server has refused that one. What was sent as a credential is hidden in the answer. One thread: the host's. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H
#include "connection.h"

/* What a step wants; owns what it points to, until http_order_free(). */
struct http_order {
    struct http_loop *loop;
    struct http_connection *connection; /* NULL: none is named */
    char method[8], *url;
    struct curl_slist *headers;
    char *body; /* NULL: none */
    size_t body_len;
    int64_t deadline_ms; /* http_now_ms() */
    bool is_once;
    struct http_accepted accepted;
};
void http_order_free(struct http_order *order);

struct http_exchange {
    const struct bw_plugin_host *host;
    struct bw_plugin_call *call;
    const struct http_order *order; /* borrowed: it outlives the exchange */
    struct http_transfer *transfer; /* NULL: none was begun */
    /* private */
    struct http_token_waiter waiter;
    struct bw_plugin_timer *timer;
    struct curl_slist *headers;
    char *credential;
    unsigned generation;
    bool has_waited, was_renewed;
    void (*done)(struct http_exchange *exchange, const struct http_fault *fault);
};
/* done: once; fault NULL: exchange->transfer has an answer of use. It may be called before this returns. The exchange is the caller's memory, until
 * http_exchange_end(), which is allowed in done() and at any other time. */
void http_exchange_begin(struct http_exchange *exchange, const struct bw_plugin_host *host, struct bw_plugin_call *call,
                         const struct http_order *order, void (*done)(struct http_exchange *exchange, const struct http_fault *fault));
void http_exchange_end(struct http_exchange *exchange);
/* Why it is broken off now: what a call that is cancelled ends with. */
void http_exchange_cancelled(const struct http_exchange *exchange, struct http_fault *fault);
#endif
