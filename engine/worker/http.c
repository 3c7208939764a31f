/* Outgoing HTTP on the worker's loop: libcurl's multi_socket interface. A request holds no thread. */
#include "base/crash_point.h"
#include "base/libcurl.h"
#include "base/net_address.h"
#include "trust/http_trust.h"
#include "worker/internal.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CONNECT_MS 10000
#define HEADERS_MAX 128
#define IDLE_HANDLES_MAX 64
#define STREAM_WAITING_BYTES (64u << 10) /* of a streamed answer that nobody has read yet: then the server has to wait */
#define STREAM_RECEIVE_BYTES 1024        /* the least that libcurl takes: events are small, and thousands of streams wait at once */
#define RECEIVE_BYTES 2048               /* libcurl's buffer of each request that is under way; thousands wait at once, and answers are small */

struct bw_http {
    CURLM *multi; /* NULL: nobody has asked for anything yet */
    struct event_base *base;
    struct event *timer;
    bool allow_private_network;
    CURL *idle[IDLE_HANDLES_MAX];
    size_t idle_count;
};
struct watched_socket {
    struct event *event;
};
struct bw_http_call {
    struct bw_http *http;
    CURL *easy;
    struct curl_slist *headers;
    struct bw_buf request_body, body, header_bytes;
    struct bw_http_header
        *answer_headers; /* of HEADERS_MAX, once there is one: most of the time a call only waits. Offsets into header_bytes until the end */
    size_t header_count;
    uint64_t max_bytes, received;
    bool was_denied, is_too_large;
    bool is_repeatable;       /* the method is idempotent */
    bool was_kept_back;       /* on_request() has refused to send it once more */
    bool is_stream, has_head; /* has_head: `done` was called with it */
    bool is_paused;           /* libcurl holds bytes back until there is room */
    bool is_over;             /* of a stream: what body has is the rest of it */
    bool has_failed, is_transient;
    struct bw_error *err; /* has_failed: behind that rest; NULL: there was no memory for it. Thousands wait at once, and few fail */
    struct bw_http_trust trust;
    char reason[CURL_ERROR_SIZE];
    bw_http_done *done;
    bw_http_more *more;
    void *arg;
};

/* ---- libcurl's callbacks ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct bw_http_call *call = arg;
    if (call->is_stream && call->body.len && call->body.len + size * count > STREAM_WAITING_BYTES) {
        call->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if ((call->received += size * count) > call->max_bytes) {
        call->is_too_large = true;
        return 0;
    }
    bw_buf_append(&call->body, bytes, size * count);
    if (call->body.failed) return 0;
    if (call->is_stream) call->more(call->arg);
    return size * count;
}

static void use_headers(struct bw_http_call *call, struct bw_http_answer *answer)
{
    for (size_t i = 0; i < call->header_count; i++) {
        call->answer_headers[i].name.ptr = call->header_bytes.data + (size_t)call->answer_headers[i].name.ptr;
        call->answer_headers[i].value.ptr = call->header_bytes.data + (size_t)call->answer_headers[i].value.ptr;
    }
    answer->headers = call->answer_headers;
    answer->header_count = call->header_count;
}

/* The last line of a head: of the answer, or of an interim one. */
static void give_head(struct bw_http_call *call)
{
    struct bw_http_answer answer = {.was_sent = true};
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) return;
    answer.status = (unsigned)status;
    use_headers(call, &answer);
    call->has_head = true;
    call->done(&answer, call->arg);
    free(call->answer_headers); /* they were copied, and the rest may take long */
    call->answer_headers = NULL;
    call->header_count = 0;
    bw_buf_free(&call->header_bytes);
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct bw_http_call *call = arg;
    size_t len = size * count;
    const char *colon = memchr(line, ':', len);
    bw_http_trust_header(&call->trust, call->easy, line, len);
    if (call->has_head) return len;                  /* what follows a body is no part of the head */
    if (len > 5 && !strncasecmp(line, "HTTP/", 5)) { /* an interim answer's headers do not count */
        call->header_count = 0;
        bw_buf_clear(&call->header_bytes);
    } else if (colon && call->header_count < HEADERS_MAX) {
        if (!call->answer_headers && !(call->answer_headers = calloc(HEADERS_MAX, sizeof *call->answer_headers))) return 0;
        const char *value = colon + 1, *end = line + len;
        while (value < end && (*value == ' ' || *value == '\t')) value++;
        while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ')) end--;
        struct bw_http_header *header = &call->answer_headers[call->header_count++];
        header->name = (struct bw_slice){(const char *)call->header_bytes.len, (size_t)(colon - line)};
        bw_buf_append(&call->header_bytes, line, header->name.len);
        header->value = (struct bw_slice){(const char *)call->header_bytes.len, (size_t)(end - value)};
        bw_buf_append(&call->header_bytes, value, header->value.len);
    }
    if (call->is_stream && call->trust.has_head) give_head(call);
    return len;
}

/* The one place after name resolution and before the connection. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct bw_http_call *call = arg;
    (void)purpose;
    if (!call->http->allow_private_network && !bw_net_address_is_public(&address->addr)) {
        call->was_denied = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Before the request is sent: once, and once more when a connection that had been kept was closed without an answer. What may have been done must not
 * be done again without the code having a say (RFC 9110, 9.2.2). */
static int on_request(void *arg, char *peer, char *own, int peer_port, int own_port)
{
    struct bw_http_call *call = arg;
    long sent = 0;
    (void)peer, (void)own, (void)peer_port, (void)own_port;
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
    call->was_kept_back = sent && !call->is_repeatable;
    return call->was_kept_back ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void end_transfer(struct bw_http_call *call)
{
    struct bw_http *http = call->http;
    if (!call->easy) return;
    curl_multi_remove_handle(http->multi, call->easy);
    if (http->idle_count < IDLE_HANDLES_MAX) {
        curl_easy_reset(call->easy);
        http->idle[http->idle_count++] = call->easy;
    } else {
        curl_easy_cleanup(call->easy);
    }
    call->easy = NULL;
    curl_slist_free_all(call->headers);
    call->headers = NULL;
    bw_buf_free(&call->request_body);
    bw_http_trust_end(&call->trust);
}

static void release(struct bw_http_call *call)
{
    end_transfer(call);
    bw_buf_free(&call->body);
    bw_buf_free(&call->header_bytes);
    free(call->answer_headers);
    free(call->err);
    free(call);
}

/* Has a transfer that ended like that brought a whole answer? Else err says why not. */
static bool is_whole(struct bw_http_call *call, CURLcode result, struct bw_error *err, bool *is_transient)
{
    const char *fault;
    *is_transient = false;
    if (call->was_denied && result != CURLE_OK)
        return bw_error_set(
            err, "http.address_denied",
            "the name leads to a private or loopback address, which this instance does not allow (allow_private_network in bellwire.yaml)");
    if (call->is_too_large) return bw_error_set(err, "http.too_large", "the answer is larger than %llu bytes", (unsigned long long)call->max_bytes);
    if (result == CURLE_PEER_FAILED_VERIFICATION)
        return bw_error_set(err, "http.network", "%s: %s", call->trust.host ? call->trust.host : "the server",
                            *call->reason ? call->reason : curl_easy_strerror(result));
    if (call->was_kept_back) {
        *is_transient = true;
        return bw_error_set(err, "http.network", "the server has closed the connection without an answer");
    }
    if (result != CURLE_OK) {
        *is_transient = result != CURLE_URL_MALFORMAT && result != CURLE_UNSUPPORTED_PROTOCOL;
        return bw_error_set(err, result == CURLE_OPERATION_TIMEDOUT ? "http.timeout" : "http.network", "%s",
                            *call->reason ? call->reason : curl_easy_strerror(result));
    }
    if (!(fault = bw_http_trust_fault(&call->trust, call->easy))) return true;
    *is_transient = true;
    return bw_error_set(err, "http.network", "%s", fault);
}

/* Behind its head: what is left of it can still be read. err NULL: it is whole. */
static void settle_stream(struct bw_http_call *call, const struct bw_error *err, bool is_transient)
{
    end_transfer(call);
    call->is_over = true;
    call->has_failed = err != NULL;
    call->is_transient = is_transient;
    if (err && (call->err = malloc(sizeof *call->err))) *call->err = *err;
}

static void end_stream(struct bw_http_call *call, CURLcode result)
{
    struct bw_error err;
    bool is_transient, good = is_whole(call, result, &err, &is_transient);
    settle_stream(call, good ? NULL : &err, is_transient);
    call->more(call->arg);
}

static void finish(struct bw_http_call *call, CURLcode result)
{
    struct bw_http_answer answer = {0};
    struct bw_error err;
    long status = 0, request_bytes = 0;
    curl_off_t body_bytes = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &body_bytes);
    answer.was_sent = request_bytes || body_bytes || status;
    answer.error = &err;
    if (is_whole(call, result, &err, &answer.transient)) {
        answer.status = (unsigned)status;
        answer.body = bw_buf_slice(&call->body);
        use_headers(call, &answer);
    }
    BW_CRASH_POINT(WORKER_AFTER_REQUEST);
    call->done(&answer, call->arg);
    release(call);
}

static void collect(struct bw_http *http)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct bw_http_call *call;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        if (call->has_head)
            end_stream(call, result);
        else
            finish(call, result);
    }
}

/* ---- the loop ---- */

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct bw_http *http = arg;
    int running;
    curl_multi_socket_action(http->multi, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0), &running);
    collect(http);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct bw_http *http = arg;
    struct watched_socket *watched = socket_arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watched) {
            if (watched->event) event_free(watched->event);
            free(watched);
            curl_multi_assign(http->multi, fd, NULL);
        }
        return 0;
    }
    if (!watched) {
        if (!(watched = calloc(1, sizeof *watched))) return 0;
        curl_multi_assign(http->multi, fd, watched);
    }
    if (watched->event) event_free(watched->event);
    watched->event =
        event_new(http->base, fd, (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0)), on_ready, http);
    if (watched->event) event_add(watched->event, NULL);
    return 0;
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct bw_http *http = arg;
    int running;
    (void)fd, (void)what;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(http);
}

/* libcurl must not be called back from here: 0 also goes through the loop. */
static int on_timer(CURLM *multi, long delay_ms, void *arg)
{
    struct bw_http *http = arg;
    (void)multi;
    if (delay_ms < 0)
        event_del(http->timer);
    else
        event_add(http->timer, &(struct timeval){.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000});
    return 0;
}

struct bw_http *bw_http_new(struct event_base *base, bool allow_private_network)
{
    struct bw_http *http = calloc(1, sizeof *http);
    if (!http || !(http->timer = event_new(base, -1, 0, on_timeout, http))) {
        free(http);
        return NULL;
    }
    http->base = base;
    http->allow_private_network = allow_private_network;
    return http;
}

/* With the first request: most workers of most instances never make one, and libcurl is half of their start and of their memory. */
static bool begin(struct bw_http *http, struct bw_error *err)
{
    const char *fault;
    if (http->multi) return true;
    if ((fault = bw_libcurl_load())) return bw_error_set(err, "http.no_library", "%s", fault);
    if (!(http->multi = curl_multi_init())) return bw_error_set(err, "http.memory", "out of memory");
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    return true;
}

static bool set_headers(struct bw_http_call *call, const struct bw_task_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        struct bw_buf line = {0};
        bw_buf_append_slice(&line, request->headers[i].name);
        bw_buf_append_text(&line, request->headers[i].value.len ? ": " : ";");
        bw_buf_append_slice(&line, request->headers[i].value);
        struct curl_slist *grown = line.failed ? NULL : curl_slist_append(call->headers, line.data);
        bw_buf_free(&line);
        if (!grown) return false;
        call->headers = grown;
    }
    struct curl_slist *grown = curl_slist_append(call->headers, "Expect:"); /* no waiting for a 100 */
    if (grown) call->headers = grown;
    return grown != NULL;
}

static void set_policy(struct bw_http_call *call, int64_t timeout_ms)
{
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)(call->is_stream ? STREAM_RECEIVE_BYTES : RECEIVE_BYTES));
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    if (!call->is_stream) curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, ""); /* a compressed stream comes late, and a pause cannot hold it back */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "bellwire/" BELLWIRE_VERSION);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->reason);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
}

static bool is_idempotent(struct bw_slice method)
{
    static const char *const names[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bw_slice_is(method, names[i])) return true;
    return false;
}

struct bw_http_call *bw_http_start(struct bw_http *http, const struct bw_task_request *request, int64_t timeout_ms, bool is_once, bw_http_done *done,
                                   bw_http_more *more, void *arg, struct bw_error *err)
{
    struct bw_http_call *call;
    if (!begin(http, err)) return NULL;
    bw_error_set(err, "http.memory", "out of memory");
    if (!(call = calloc(1, sizeof *call))) return NULL;
    call->http = http;
    call->done = done;
    call->more = more;
    call->is_stream = request->is_stream;
    call->arg = arg;
    call->max_bytes = request->max_response_bytes;
    call->is_repeatable = is_idempotent(request->method);
    call->easy = http->idle_count ? http->idle[--http->idle_count] : curl_easy_init();
    if (!call->easy) {
        free(call);
        return NULL;
    }
    set_policy(call, timeout_ms);
    if (is_once) curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
    bw_buf_append_slice(&call->request_body, request->body);
    bool has_body =
        request->body.len || bw_slice_is(request->method, "POST") || bw_slice_is(request->method, "PUT") || bw_slice_is(request->method, "PATCH");
    if (has_body) {
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, request->body.len ? call->request_body.data : "");
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    }
    if (bw_slice_is(request->method, "HEAD")) curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, request->method.ptr); /* NUL-terminated by the lua room */
    BW_CRASH_POINT(WORKER_BEFORE_REQUEST);
    bool good = set_headers(call, request) && !call->request_body.failed &&
                curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK &&
                curl_easy_setopt(call->easy, CURLOPT_URL, request->url.ptr) == CURLE_OK && bw_http_trust_begin(&call->trust, call->easy) &&
                curl_multi_add_handle(http->multi, call->easy) == CURLM_OK;
    if (good) return call;
    release(call);
    return NULL;
}

void bw_http_abort(struct bw_http_call *call)
{
    release(call);
}

void bw_http_fail(struct bw_http_call *call, const struct bw_error *err, bool is_transient)
{
    if (!call->is_over) settle_stream(call, err, is_transient);
}

enum bw_stream_state bw_http_read(struct bw_http_call *call, struct bw_buf *out, struct bw_error *err, bool *is_transient)
{
    bool has_bytes = call->body.len > 0;
    bw_buf_append_slice(out, bw_buf_slice(&call->body));
    if (call->body.capacity > RECEIVE_BYTES)
        bw_buf_free(&call->body); /* who has waited for much may wait for little from now on */
    else
        bw_buf_clear(&call->body);
    if (call->is_paused) { /* this may call on_body() */
        call->is_paused = false;
        CURLcode result = curl_easy_pause(call->easy, CURLPAUSE_CONT);
        if (result != CURLE_OK) end_stream(call, result);
    }
    if (has_bytes) return BW_STREAM_BYTES;
    if (!call->is_over) return BW_STREAM_WAITS;
    if (!call->has_failed) return BW_STREAM_END;
    *is_transient = call->is_transient;
    if (call->err)
        *err = *call->err;
    else
        bw_error_set(err, "http.memory", "out of memory");
    return BW_STREAM_FAILED;
}
