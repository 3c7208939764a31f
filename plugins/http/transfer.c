#include "transfer.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 10000

bool http_has_break(const char *text, size_t len)
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

bool http_header_add(struct curl_slist **headers, const char *name, const char *value)
{
    char line[8192];
    if (!is_token(name) || http_has_break(value, strlen(value)) ||
        (size_t)snprintf(line, sizeof line, *value ? "%s: %s" : "%s;", name, value) >= sizeof line)
        return false;
    struct curl_slist *grown = curl_slist_append(*headers, line);
    if (grown) *headers = grown;
    OPENSSL_cleanse(line, sizeof line); /* it may be a credential */
    return grown != NULL;
}

bool http_header_has(const struct curl_slist *headers, const char *name)
{
    size_t len = strlen(name);
    for (; headers; headers = headers->next)
        if (!strncasecmp(headers->data, name, len) && (headers->data[len] == ':' || headers->data[len] == ';')) return true;
    return false;
}

void http_header_free(struct curl_slist *headers)
{
    for (struct curl_slist *line = headers; line; line = line->next) OPENSSL_cleanse(line->data, strlen(line->data));
    curl_slist_free_all(headers);
}

/* ---- libcurl's callbacks ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    struct http_response *response = &transfer->response;
    size_t len = size * count;
    if (response->len + len > transfer->max_bytes) {
        transfer->is_too_large = true;
        return 0;
    }
    if (response->len + len + 1 > transfer->capacity) {
        size_t capacity = (response->len + len + 1) * 2;
        char *grown = realloc(response->body, capacity);
        if (!grown) return 0;
        response->body = grown;
        transfer->capacity = capacity;
    }
    memcpy(response->body + response->len, bytes, len);
    response->len += len;
    response->body[response->len] = '\0';
    return len;
}

static void keep_header(struct http_response *response, const char *name, const char *value, size_t len)
{
    const json_t *before = json_object_get(response->headers, name);
    json_t *text = before ? json_sprintf("%s, %.*s", json_string_value(before), (int)len, value) : json_stringn(value, len);
    if (text) json_object_set_new(response->headers, name, text); /* NULL: a value that is no UTF-8 is left out */
    if (text && !strcmp(name, "link")) json_array_append_new(response->links, json_stringn(value, len));
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    size_t len = size * count, name_len = 0;
    char name[128];
    bw_http_trust_header(&transfer->trust, transfer->easy, line, len);
    if (len > 5 && !strncasecmp(line, "HTTP/", 5)) { /* a new status line: an interim answer's headers do not count */
        json_object_clear(transfer->response.headers);
        json_array_clear(transfer->response.links);
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
    keep_header(&transfer->response, name, value, (size_t)(end - value));
    return len;
}

/* The one place after name resolution and before the connection: odd spellings and DNS rebinding end here. With a proxy it is the proxy's address. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_transfer *transfer = arg;
    (void)purpose;
    if (!transfer->host->may_connect(transfer->host, &address->addr, address->addrlen)) {
        transfer->was_address_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Before the request is sent: once, and once more when a connection that had been kept was closed without an answer. What may have been done must not
 * be done again without the step's retry rules having a say (RFC 9110, 9.2.2). */
static int on_request(void *arg, char *peer, char *own, int peer_port, int own_port)
{
    struct http_transfer *transfer = arg;
    long size = 0;
    (void)peer, (void)own, (void)peer_port, (void)own_port;
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &size);
    transfer->was_kept_back = transfer->was_tried && size != transfer->size_before && !transfer->is_repeatable;
    if (!transfer->was_tried) transfer->size_before = size;
    transfer->was_tried = true;
    return transfer->was_kept_back ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

bool http_transfer_was_sent(const struct http_transfer *transfer)
{
    long size = 0, status = 0;
    curl_off_t body_bytes = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &size);
    curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &body_bytes);
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return transfer->was_tried && (size != transfer->size_before || body_bytes || status);
}

/* ---- what is wanted → handle ---- */

static void set_policy(struct http_transfer *transfer, int64_t timeout_ms)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* a redirect is an answer: the workflow decides */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "bellwire-http/1");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
}

static bool is_one_of(const char *method, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(method, *names)) return true;
    return false;
}

static bool set_headers(struct http_transfer *transfer, const struct curl_slist *wanted)
{
    for (const struct curl_slist *line = wanted; line; line = line->next) {
        struct curl_slist *grown = curl_slist_append(transfer->headers, line->data);
        if (!grown) return false;
        transfer->headers = grown;
    }
    if (!http_header_has(wanted, "expect")) { /* none: no waiting for a 100 */
        struct curl_slist *grown = curl_slist_append(transfer->headers, "Expect:");
        if (!grown) return false;
        transfer->headers = grown;
    }
    return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK;
}

static bool set_body(struct http_transfer *transfer, const struct http_wanted *wanted)
{
    if (!wanted->body) return true;
    if (!(transfer->body = malloc(wanted->body_len + 1))) return false;
    memcpy(transfer->body, wanted->body, wanted->body_len);
    transfer->body_len = wanted->body_len;
    return curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->body) == CURLE_OK &&
           curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)wanted->body_len) == CURLE_OK;
}

static bool set_method(struct http_transfer *transfer, const struct http_wanted *wanted)
{
    static const char *const safe[] = {"GET", "HEAD", "OPTIONS", NULL}, *const idempotent[] = {"PUT", "DELETE", NULL};
    transfer->can_change = !is_one_of(wanted->method, safe);
    transfer->is_repeatable = !wanted->is_once && (!transfer->can_change || is_one_of(wanted->method, idempotent));
    if (wanted->is_once) curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
    if (!strcmp(wanted->method, "HEAD")) curl_easy_setopt(transfer->easy, CURLOPT_NOBODY, 1L);
    return curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, wanted->method) == CURLE_OK;
}

struct http_transfer *http_transfer_new(const struct bw_plugin_host *host, const struct http_wanted *wanted, char *reason, size_t size)
{
    struct http_transfer *transfer = calloc(1, sizeof *transfer);
    snprintf(reason, size, "out of memory");
    if (!transfer) return NULL;
    transfer->host = host;
    transfer->max_bytes = wanted->max_bytes;
    transfer->response.headers = json_object();
    transfer->response.links = json_array();
    bool good = transfer->response.headers && transfer->response.links && (transfer->easy = curl_easy_init());
    if (good) set_policy(transfer, wanted->timeout_ms);
    if (good && set_body(transfer, wanted) && set_method(transfer, wanted) && set_headers(transfer, wanted->headers) &&
        bw_http_trust_begin(&transfer->trust, transfer->easy)) {
        if (curl_easy_setopt(transfer->easy, CURLOPT_URL, wanted->url) == CURLE_OK) return transfer;
        snprintf(reason, size, "url is not usable");
    }
    http_transfer_free(transfer);
    return NULL;
}

bool http_transfer_start(struct http_transfer *transfer, struct http_loop *loop, void (*done)(struct http_transfer *, CURLcode, void *), void *arg)
{
    transfer->done = done;
    transfer->arg = arg;
    if (!http_loop_add(loop, transfer->easy)) return false;
    transfer->loop = loop;
    return true;
}

void http_transfer_over(CURL *easy, CURLcode result)
{
    struct http_transfer *transfer;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
    transfer->loop = NULL;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &transfer->response.status);
    transfer->done(transfer, result, transfer->arg);
}

void http_transfer_free(struct http_transfer *transfer)
{
    if (!transfer) return;
    if (transfer->loop) http_loop_remove(transfer->loop, transfer->easy);
    if (transfer->easy) curl_easy_cleanup(transfer->easy);
    bw_http_trust_end(&transfer->trust);
    http_header_free(transfer->headers);
    json_decref(transfer->response.headers);
    json_decref(transfer->response.links);
    free(transfer->response.body);
    if (transfer->body) OPENSSL_cleanse(transfer->body, transfer->body_len);
    free(transfer->body);
    free(transfer);
}
