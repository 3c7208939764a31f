#include "http_peer.h"
#include "config/config.h"
#include "fuzz.h"
#include "ingest/gate.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define IDLE_TURNS 4 /* of the loop: a socket of this process needs no time */

static struct {
    struct event_base *base;
    struct evhttp *http;
    struct sockaddr_un address;
    socklen_t address_len;
    void (*seen)(void *arg, size_t number, const struct http_request *request);
    void *arg;
    size_t count;
} peer;

static void be_silent(int severity, const char *message)
{
    (void)severity, (void)message;
}

static const char *method_name(enum evhttp_cmd_type type)
{
    switch (type) {
    case EVHTTP_REQ_GET: return "GET";
    case EVHTTP_REQ_POST: return "POST";
    case EVHTTP_REQ_HEAD: return "HEAD";
    case EVHTTP_REQ_PUT: return "PUT";
    case EVHTTP_REQ_DELETE: return "DELETE";
    case EVHTTP_REQ_OPTIONS: return "OPTIONS";
    case EVHTTP_REQ_PATCH: return "PATCH";
    default: return "?";
    }
}

static struct bw_slice without_blanks(const char *text)
{
    text += strspn(text, " \t");
    return bw_slice_of(text);
}

static void on_request(struct evhttp_request *from, void *arg)
{
    static struct http_request request;
    struct evbuffer *body = evhttp_request_get_input_buffer(from);
    struct evkeyval *field;
    (void)arg;
    bw_buf_clear(&request.body);
    request.method = bw_slice_of(method_name(evhttp_request_get_command(from)));
    request.target = bw_slice_of(evhttp_request_get_uri(from));
    request.version = from->minor ? BW_SLICE("HTTP/1.1") : BW_SLICE("HTTP/1.0");
    request.field_count = 0;
    for (field = evhttp_request_get_input_headers(from)->tqh_first; field; field = field->next.tqe_next) {
        fuzz_check(request.field_count < sizeof request.fields / sizeof *request.fields, "more fields than the gate lets through");
        request.fields[request.field_count].name = bw_slice_of(field->key);
        request.fields[request.field_count++].value = without_blanks(field->value);
    }
    size_t len = evbuffer_get_length(body);
    if (len) bw_buf_append(&request.body, evbuffer_pullup(body, -1), len);
    peer.seen(peer.arg, peer.count++, &request);
    evhttp_send_reply(from, HTTP_OK, NULL, NULL);
}

void http_peer_open(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    event_set_log_callback(be_silent);
    peer.base = event_base_new();
    peer.http = evhttp_new(peer.base);
    peer.address.sun_family = AF_UNIX;
    peer.address_len = sizeof peer.address;
    /* An address without a name: the kernel gives one that no file has. */
    bool is_open = fd >= 0 && peer.http && !bind(fd, (struct sockaddr *)&peer.address, sizeof(sa_family_t)) && !listen(fd, 8) &&
                   !getsockname(fd, (struct sockaddr *)&peer.address, &peer.address_len) && !evhttp_accept_socket(peer.http, fd);
    fuzz_check(is_open, "no evhttp can be opened here");
    evhttp_set_max_headers_size(peer.http, BW_GATE_HEAD_MAX);
    evhttp_set_max_body_size(peer.http, BW_BODY_BYTES_HARD_GITHUB);
    evhttp_set_default_content_type(peer.http, NULL);
    evhttp_set_allowed_methods(peer.http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                              EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(peer.http, on_request, NULL);
}

static void run_until_idle(int fd)
{
    char answers[4096];
    for (int idle = 0; idle < IDLE_TURNS; idle++) {
        size_t before = peer.count;
        event_base_loop(peer.base, EVLOOP_NONBLOCK);
        if (peer.count != before) idle = 0;
        while (fd >= 0 && recv(fd, answers, sizeof answers, MSG_DONTWAIT) > 0) idle = 0;
    }
}

size_t http_peer_send(struct bw_slice bytes, void (*seen)(void *arg, size_t number, const struct http_request *request), void *arg)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fuzz_check(fd >= 0 && !connect(fd, (struct sockaddr *)&peer.address, peer.address_len), "no connection");
    peer.seen = seen;
    peer.arg = arg;
    peer.count = 0;
    for (size_t at = 0; at < bytes.len;) {
        ssize_t sent = send(fd, bytes.ptr + at, bytes.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) at += (size_t)sent;
        int why = errno;
        run_until_idle(fd);
        if (sent < 0 && why != EAGAIN) break; /* it has hung up */
    }
    close(fd);
    run_until_idle(-1);
    return peer.count;
}
