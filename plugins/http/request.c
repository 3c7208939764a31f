#include "request.h"
#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_AFTER_MAX_S 3600 /* the engine waits no longer */

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\r' || text[i] == '\n' || text[i] == '\0') return true;
    return false;
}

/* RFC 9110 token */
static bool is_token(const char *text)
{
    if (!*text) return false;
    for (; *text; text++)
        if (!strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", *text)) return false;
    return true;
}

/* ---- libcurl's callbacks ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_response *response = arg;
    size_t len = size * count;
    if (response->len + len > HTTP_RESPONSE_BYTES_MAX) {
        response->is_too_large = true;
        return 0;
    }
    if (response->len + len + 1 > response->capacity) {
        size_t capacity = (response->len + len + 1) * 2;
        char *grown = realloc(response->body, capacity);
        if (!grown) return 0;
        response->body = grown;
        response->capacity = capacity;
    }
    memcpy(response->body + response->len, bytes, len);
    response->len += len;
    response->body[response->len] = '\0';
    return len;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct http_request *request = arg;
    struct http_response *response = &request->response;
    size_t len = size * count, name_len = 0;
    char name[128];
    bw_http_trust_header(&request->trust, request->easy, line, len);
    if (len > 5 && !strncasecmp(line, "HTTP/", 5)) { /* a new status line: an interim answer's headers do not count */
        json_object_clear(response->headers);
        return len;
    }
    const char *colon = memchr(line, ':', len);
    if (!colon || (size_t)(colon - line) >= sizeof name) return len;
    for (; line + name_len < colon; name_len++)
        name[name_len] = (char)(line[name_len] >= 'A' && line[name_len] <= 'Z' ? line[name_len] + 32 : line[name_len]);
    name[name_len] = '\0';
    const char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ')) end--;
    json_t *before = json_object_get(response->headers, name);
    json_t *text =
        before ? json_sprintf("%s, %.*s", json_string_value(before), (int)(end - value), value) : json_stringn(value, (size_t)(end - value));
    if (text) json_object_set_new(response->headers, name, text); /* NULL: a value that is no UTF-8 is left out */
    return len;
}

/* The one place after name resolution and before the connection: odd spellings and DNS rebinding end here. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_request *request = arg;
    (void)purpose;
    if (!request->host->may_connect(request->host, &address->addr, address->addrlen)) {
        request->was_address_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- input → handle ---- */

static bool add_header(struct http_request *request, const char *name, const char *value, char *reason, size_t reason_size)
{
    char line[8192];
    if (!is_token(name) || has_control(value, strlen(value)) ||
        (size_t)snprintf(line, sizeof line, *value ? "%s: %s" : "%s;", name, value) >= sizeof line) {
        snprintf(reason, reason_size, "header '%.100s' is not allowed: a name must be a token, a value must hold no line break and at most 8 kB",
                 name);
        return false;
    }
    struct curl_slist *grown = curl_slist_append(request->headers, line);
    if (grown) request->headers = grown;
    return grown != NULL;
}

static bool has_header(const json_t *headers, const char *wanted)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)headers, name, value) if (!strcasecmp(name, wanted)) return true;
    return false;
}

static bool set_headers(struct http_request *request, const json_t *headers, const char *method, bool is_json, char *reason, size_t reason_size)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)headers, name, value)
    {
        char number[64];
        const char *text = json_string_value(value);
        if (json_is_integer(value)) snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value)), text = number;
        if (!text || strlen(text) != (json_is_string(value) ? json_string_length(value) : strlen(text))) {
            snprintf(reason, reason_size, "header '%.100s' must be a string or an integer", name);
            return false;
        }
        if (!add_header(request, name, text, reason, reason_size)) return false;
    }
    if (is_json && !has_header(headers, "content-type") && !add_header(request, "Content-Type", "application/json", reason, reason_size))
        return false;
    /* semantics.md 2.5: whatever can change something carries the key, so that a repeated attempt is recognised. */
    bool can_change = !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH") || !strcmp(method, "DELETE");
    if (can_change && !has_header(headers, "idempotency-key") &&
        !add_header(request, "Idempotency-Key", request->call->idempotency_key, reason, reason_size))
        return false;
    if (has_header(headers, "expect")) return true;
    struct curl_slist *grown = curl_slist_append(request->headers, "Expect:"); /* none: no waiting for a 100 */
    if (grown) request->headers = grown;
    return grown != NULL;
}

static bool set_body(struct http_request *request, const json_t *input, char *reason, size_t reason_size)
{
    const json_t *json = json_object_get(input, "json"), *body = json_object_get(input, "body");
    size_t len;
    if (json && body) {
        snprintf(reason, reason_size, "give json or body, not both");
        return false;
    }
    if (json) {
        request->body = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
        len = request->body ? strlen(request->body) : 0;
    } else if (body) {
        len = json_string_length(body);
        if ((request->body = malloc(len + 1))) memcpy(request->body, json_string_value(body), len + 1);
    } else {
        return true;
    }
    if (!request->body) {
        snprintf(reason, reason_size, "out of memory");
        return false;
    }
    curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, request->body);
    curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    return true;
}

static void set_policy(struct http_request *request, int64_t timeout_ms)
{
    CURL *easy = request->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* a redirect is an answer: the workflow decides */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms < 10000 ? timeout_ms : 10000));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "bellwire-http/1");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, request);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &request->response);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
}

static bool set_accepted(struct http_request *request, const json_t *list, char *reason, size_t reason_size)
{
    size_t index;
    json_t *status;
    json_array_foreach(list, index, status)
    {
        if (!json_is_integer(status) || request->accepted_count == sizeof request->accepted / sizeof *request->accepted) {
            snprintf(reason, reason_size, "accept_status must be a list of at most 16 numbers such as [404]");
            return false;
        }
        request->accepted[request->accepted_count++] = (int)json_integer_value(status);
    }
    return true;
}

/* "250ms", "10s", "2m": how long the whole request may take. The step's own timeout stays the upper bound. */
static bool read_timeout(const json_t *value, int64_t *timeout_ms, char *reason, size_t reason_size)
{
    const char *text = json_string_value(value);
    char *unit;
    if (!value) return true;
    double amount = text ? strtod(text, &unit) : 0;
    double scale = !text ? 0 : !strcmp(unit, "ms") ? 1 : !strcmp(unit, "s") ? 1000 : !strcmp(unit, "m") ? 60000 : 0;
    if (!(amount * scale >= 1) || amount * scale > 86400000) {
        snprintf(reason, reason_size, "timeout must be a duration such as 500ms, 10s or 2m");
        return false;
    }
    if (amount * scale < (double)*timeout_ms) *timeout_ms = (int64_t)(amount * scale);
    return true;
}

static bool fill(struct http_request *request, const json_t *input, char *reason, size_t reason_size)
{
    const char *url = json_string_value(json_object_get(input, "url")), *method = json_string_value(json_object_get(input, "method"));
    if (!method) method = "GET";
    if (!url || has_control(url, json_string_length(json_object_get(input, "url")))) {
        snprintf(reason, reason_size, "url must be text without line breaks");
        return false;
    }
    if (strncasecmp(url, "http://", 7) && strncasecmp(url, "https://", 8)) {
        snprintf(reason, reason_size, "url must begin with https:// or http://");
        return false;
    }
    if (!set_accepted(request, json_object_get(input, "accept_status"), reason, reason_size)) return false;
    int64_t timeout_ms = request->call->timeout_ms;
    if (!read_timeout(json_object_get(input, "timeout"), &timeout_ms, reason, reason_size)) return false;
    set_policy(request, timeout_ms);
    bool can_say = request->call->size >= offsetof(struct bw_plugin_call, is_once) + sizeof request->call->is_once;
    /* libcurl sends a request again by itself when a connection that was kept turns out to be dead. */
    if (can_say && request->call->is_once) curl_easy_setopt(request->easy, CURLOPT_FRESH_CONNECT, 1L);
    if (!set_body(request, input, reason, reason_size)) return false;
    if (!set_headers(request, json_object_get(input, "headers"), method, json_object_get(input, "json") != NULL, reason, reason_size)) return false;
    request->can_change = strcmp(method, "GET") && strcmp(method, "HEAD") && strcmp(method, "OPTIONS");
    curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
    curl_easy_setopt(request->easy, CURLOPT_CUSTOMREQUEST, method);
    if (!strcmp(method, "HEAD")) curl_easy_setopt(request->easy, CURLOPT_NOBODY, 1L);
    if (curl_easy_setopt(request->easy, CURLOPT_URL, url) == CURLE_OK && bw_http_trust_begin(&request->trust, request->easy)) return true;
    snprintf(reason, reason_size, "url is not usable");
    return false;
}

struct http_request *http_request_new(const struct bw_plugin_host *host, struct bw_plugin_call *call, const char **code, char *reason,
                                      size_t reason_size)
{
    json_t *input = json_loadb(call->input, call->input_len, 0, NULL);
    struct http_request *request = calloc(1, sizeof *request);
    bool is_filled = false;
    *code = "http.input";
    snprintf(reason, reason_size, "out of memory");
    if (input && request && (request->easy = curl_easy_init()) && (request->response.headers = json_object())) {
        request->host = host;
        request->call = call;
        is_filled = fill(request, input, reason, reason_size);
    }
    json_decref(input);
    if (is_filled) return request;
    http_request_free(request);
    return NULL;
}

void http_request_free(struct http_request *request)
{
    if (!request) return;
    if (request->easy) curl_easy_cleanup(request->easy);
    bw_http_trust_end(&request->trust);
    curl_slist_free_all(request->headers);
    json_decref(request->response.headers);
    free(request->response.body);
    free(request->body);
    free(request);
}

/* ---- answer → output ---- */

static void finish(struct http_request *request, const struct bw_plugin_result *result)
{
    struct bw_plugin_call *call = request->call;
    request->call = NULL;
    request->host->complete(request->host, call, result);
}

/* Whoever has read the request may have acted upon it, unless his answer says otherwise. 501 and 503 do. */
static bool is_doubtful(const struct http_request *request, CURLcode result, long status)
{
    long request_bytes = 0;
    curl_off_t body_bytes = 0;
    curl_easy_getinfo(request->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    curl_easy_getinfo(request->easy, CURLINFO_SIZE_UPLOAD_T, &body_bytes);
    if (!request->can_change || !(request_bytes || body_bytes || status)) return false;
    return result != CURLE_OK || (status >= 500 && status != 501 && status != 503);
}

static void fail(struct http_request *request, enum bw_plugin_outcome outcome, const char *code, const char *message)
{
    finish(request, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result),
                                               .outcome = outcome,
                                               .code = code,
                                               .message = message,
                                               .retry_after_ms = -1,
                                               .is_doubtful = request->is_doubtful});
}

static void answer(struct http_request *request, long status)
{
    struct http_response *response = &request->response;
    const char *type = json_string_value(json_object_get(response->headers, "content-type"));
    json_t *output = json_pack("{s:i,s:O}", "status", (int)status, "headers", response->headers),
           *body = json_stringn(response->body ? response->body : "", response->len);
    request->is_doubtful = request->can_change; /* if it fails now, it does so behind the effect */
    if (!output) {
        fail(request, BW_PLUGIN_RETRY, "http.memory", "out of memory");
        return;
    }
    if (type && strstr(type, "json") && response->len) {
        json_t *parsed = json_loadb(response->body, response->len, JSON_DECODE_ANY, NULL);
        if (parsed) json_object_set_new(output, "json", parsed);
    }
    json_object_set_new(output, "body", body ? body : json_string("")); /* bytes that are no text are left out */
    char *text = json_dumps(output, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (text)
        finish(request, &(struct bw_plugin_result){
                            .size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = text, .output_len = strlen(text)});
    else
        fail(request, BW_PLUGIN_RETRY, "http.memory", "out of memory");
    free(text);
    json_decref(output);
}

/* Retry-After, in seconds or as a date. */
static int64_t retry_after_ms(const struct http_request *request)
{
    curl_off_t seconds = 0;
    curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &seconds);
    return seconds > 0 ? (int64_t)(seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000 : -1;
}

static bool is_accepted(const struct http_request *request, long status)
{
    for (size_t i = 0; i < request->accepted_count; i++)
        if (request->accepted[i] == status) return true;
    return (status >= 200 && status < 300) || status == 304;
}

/* What the server said is most of what a person needs to know: its first line, as far as it is text. */
static void explain(const struct http_request *request, long status, char *message, size_t size)
{
    const struct http_response *response = &request->response;
    const char *location = json_string_value(json_object_get(response->headers, "location"));
    size_t len = 0;
    while (len < response->len && len < 200 && (unsigned char)response->body[len] >= ' ') len++;
    if (status >= 300 && status < 400)
        snprintf(message, size, "the server answered %ld: redirects are not followed; it names %.200s", status, location ? location : "no place");
    else
        snprintf(message, size, len ? "the server answered %ld: %.*s" : "the server answered %ld", status, (int)len, response->body);
}

void http_request_complete(struct http_request *request, CURLcode result)
{
    char message[CURL_ERROR_SIZE + 300];
    const char *fault;
    long status = 0;
    if (!request->call) return;
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    request->is_doubtful = is_doubtful(request, result, status);
    if (request->was_address_refused && result != CURLE_OK) {
        fail(request, BW_PLUGIN_FAIL, "http.address_denied",
             "the name leads to a private or loopback address, which this instance does not allow (allow_private_network in bellwire.yaml)");
    } else if (request->response.is_too_large) {
        snprintf(message, sizeof message, "the answer is larger than %u bytes", HTTP_RESPONSE_BYTES_MAX);
        fail(request, BW_PLUGIN_FAIL, "http.too_large", message);
    } else if (result == CURLE_ABORTED_BY_CALLBACK) {
        fail(request, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED, "the request was broken off, because the step is not wanted any more");
    } else if (result != CURLE_OK) {
        bool is_stranger = result == CURLE_PEER_FAILED_VERIFICATION && request->trust.host;
        snprintf(message, sizeof message, "%.255s%s%s", is_stranger ? request->trust.host : "", is_stranger ? ": " : "",
                 *request->error ? request->error : curl_easy_strerror(result));
        bool is_permanent = result == CURLE_URL_MALFORMAT || result == CURLE_UNSUPPORTED_PROTOCOL || result == CURLE_PEER_FAILED_VERIFICATION;
        fail(request, is_permanent ? BW_PLUGIN_FAIL : BW_PLUGIN_RETRY, result == CURLE_OPERATION_TIMEDOUT ? "http.timeout" : "http.network", message);
    } else if ((fault = bw_http_trust_fault(&request->trust, request->easy))) {
        request->is_doubtful = request->can_change;
        fail(request, BW_PLUGIN_RETRY, "http.network", fault);
    } else if (is_accepted(request, status)) {
        answer(request, status);
    } else if (status == 408 || status == 425 || status == 429 || status >= 500) {
        explain(request, status, message, sizeof message);
        finish(request, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result),
                                                   .outcome = BW_PLUGIN_RETRY,
                                                   .code = "http.status",
                                                   .message = message,
                                                   .retry_after_ms = retry_after_ms(request),
                                                   .is_doubtful = request->is_doubtful});
    } else {
        explain(request, status, message, sizeof message);
        fail(request, BW_PLUGIN_FAIL, "http.status", message);
    }
}
