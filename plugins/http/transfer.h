/* transfer.h: one request over the wire and its whole answer. It decides what no step and no configuration can change: the checks of addresses, whom
 * TLS trusts, no redirects, nothing of the environment, and that what may have been done is not sent again unseen. One thread: the host's. */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H
#include "bellwire_plugin.h"
#include "loop.h"
#include "trust/http_trust.h"
#include <jansson.h>

#define HTTP_RESPONSE_BYTES_MAX (8u << 20)

/* What is to be sent. All of it is copied. */
struct http_wanted {
    const char *method, *url;
    const struct curl_slist *headers; /* "Name: value" */
    const char *body;                 /* NULL: none */
    size_t body_len;
    int64_t timeout_ms;
    size_t max_bytes; /* of the answer's body */
    bool is_once;
};
struct http_response {
    long status;     /* 0: there is none */
    json_t *headers; /* object: lower-case name → value, repeated ones joined with ", " */
    json_t *links;   /* array: the value of each Link line, as joined ones cannot be told apart for certain */
    char *body;      /* NUL-terminated; NULL: empty */
    size_t len;
};
struct http_transfer {
    const struct bw_plugin_host *host;
    CURL *easy;
    struct http_response response;
    struct bw_http_trust trust;
    char error[CURL_ERROR_SIZE]; /* libcurl's */
    size_t max_bytes;
    bool can_change; /* by its method */
    bool is_repeatable, was_tried, was_kept_back;
    bool was_address_refused, is_too_large;
    /* private */
    struct http_loop *loop; /* NULL: not in one */
    struct curl_slist *headers;
    char *body;
    size_t body_len, capacity;
    long size_before; /* CURLINFO_REQUEST_SIZE when the request was about to be sent: a proxy may have been asked before that */
    void (*done)(struct http_transfer *transfer, CURLcode result, void *arg);
    void *arg;
};

/* NULL: reason says why. Until http_transfer_start(), the caller may set more options of `easy`. */
struct http_transfer *http_transfer_new(const struct bw_plugin_host *host, const struct http_wanted *wanted, char *reason, size_t size);
/* done: once, later; it may free the transfer. False: no memory. */
bool http_transfer_start(struct http_transfer *transfer, struct http_loop *loop, void (*done)(struct http_transfer *, CURLcode, void *), void *arg);
void http_transfer_free(struct http_transfer *transfer); /* also one that is on its way */
void http_transfer_over(CURL *easy, CURLcode result);    /* what loops call */
/* Was anything of the request sent? Then whoever has read it may have acted upon it. */
bool http_transfer_was_sent(const struct http_transfer *transfer);
/* A line of a head. False: a name must be a token, a value must hold no line break and at most 8 kB. Or no memory. */
bool http_header_add(struct curl_slist **headers, const char *name, const char *value);
bool http_header_has(const struct curl_slist *headers, const char *name);
void http_header_free(struct curl_slist *headers); /* they may be credentials: nothing of them stays in memory */
bool http_has_break(const char *text, size_t len); /* a line break or NUL */
#endif
