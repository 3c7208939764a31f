/* request.h: one HTTP request of a step: the step's input → a libcurl handle, its answer → the step's output.
 * One thread (the host's loop). A request belongs to the caller of http_request_new() until http_request_free(). */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H
#include "bellwire_plugin.h"
#include "trust/http_trust.h"
#include <curl/curl.h>

#define HTTP_RESPONSE_BYTES_MAX (8u << 20)

struct http_request {
    const struct bw_plugin_host *host;
    struct bw_plugin_call *call; /* NULL once it is completed */
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    struct bw_http_trust trust;
    struct http_response {
        char *body;
        size_t len, capacity;
        void *headers; /* json_t object: lower-case name → value, repeated ones joined with ", " */
        bool is_too_large;
    } response;
    int accepted[16]; /* statuses that are an answer although they are not 2xx */
    size_t accepted_count;
    bool was_address_refused;
    bool can_change;  /* by its method */
    bool is_doubtful; /* as in struct bw_plugin_result */
    char error[CURL_ERROR_SIZE];
};

/* NULL: the input is not usable; `reason` (for people) and `code` say why. */
struct http_request *http_request_new(const struct bw_plugin_host *host, struct bw_plugin_call *call, const char **code, char *reason,
                                      size_t reason_size);
void http_request_free(struct http_request *request);
/* Completes the call from what libcurl reported. */
void http_request_complete(struct http_request *request, CURLcode result);
#endif
