#include "ingest/reply.h"
#include "base/crash_point.h"
#include "base/random.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct status {
    unsigned status;
    const char *phrase, *error;
} statuses[] = {
    {200, "OK", ""},
    {201, "Created", ""},
    {202, "Accepted", ""},
    {204, "No Content", ""},
    {400, "Bad Request", "malformed"},
    {401, "Unauthorized", "unverified"},
    {403, "Forbidden", "forbidden"},
    {404, "Not Found", "unknown_path"},
    {405, "Method Not Allowed", "bad_method"},
    {410, "Gone", "gone"},
    {413, "Content Too Large", "too_large"},
    {414, "URI Too Long", "too_large"},
    {415, "Unsupported Media Type", "bad_type"},
    {417, "Expectation Failed", "malformed"},
    {422, "Unprocessable Content", "wrong"},
    {429, "Too Many Requests", "rate_limited"},
    {431, "Request Header Fields Too Large", "too_large"},
    {503, "Service Unavailable", "overloaded"},
    {505, "HTTP Version Not Supported", "malformed"},
    {0, "", "refused"}, /* what a scheme's handshake may answer has a phrase of no interest */
};

static const struct status *find(unsigned status)
{
    const struct status *at = statuses;
    while (at->status && at->status != status) at++;
    return at;
}

__attribute__((format(printf, 2, 3))) static void set_text(struct bw_reply *reply, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(reply->text, sizeof reply->text, format, args);
    va_end(args);
    reply->body = reply->text;
    reply->body_len = len < 0 ? 0 : (size_t)len < sizeof reply->text ? (size_t)len : sizeof reply->text - 1;
}

static void reset(struct bw_reply *reply, unsigned status)
{
    reply->status = status;
    reply->closes = status >= 400;
    reply->allow = reply->challenge = reply->type = NULL;
    reply->headers = (struct bw_slice){"", 0};
    reply->retry_after_s = 0;
}

void bw_reply_accepted(struct bw_reply *reply, const char *event, bool is_duplicate)
{
    reset(reply, is_duplicate ? 200 : 202);
    if (!event)
        set_text(reply, "{\"status\":\"duplicate\"}\n");
    else
        set_text(reply, "{\"status\":\"%s\",\"event\":\"%s\"}\n", is_duplicate ? "duplicate" : "accepted", event);
}

void bw_reply_acknowledge(struct bw_reply *reply, const struct bw_acknowledge *acknowledge)
{
    if (!acknowledge->status) return;
    reply->status = acknowledge->status;
    reply->headers = bw_buf_slice(&acknowledge->headers);
    if (!acknowledge->has_body && reply->status != 204) return;
    reply->type = acknowledge->type;
    reply->body = bw_buf_slice(&acknowledge->body).ptr;
    reply->body_len = acknowledge->body.len;
}

void bw_reply_malformed(struct bw_reply *reply, const struct bw_json_fault *fault)
{
    reset(reply, 400);
    if (!fault->reason) {
        set_text(reply, "{\"error\":\"malformed\"}\n");
        return;
    }
    struct bw_buf message = {0}; /* the reasons are our own texts, some with quotes in them */
    bw_buf_append_json_string(&message, bw_slice_of(fault->reason));
    set_text(reply, "{\"error\":\"malformed\",\"message\":%s,\"line\":%u,\"column\":%u}\n",
             message.failed || message.len > 160 ? "\"\"" : message.data, fault->line, fault->column);
    bw_buf_free(&message);
}

void bw_reply_refuse(struct bw_reply *reply, unsigned status)
{
    reset(reply, status);
    set_text(reply, "{\"error\":\"%s\"}\n", find(status)->error);
    if (status == 503 || status == 429) reply->retry_after_s = 1 + (unsigned)(bw_random_unit() * 30);
}

void bw_reply_bytes(struct bw_reply *reply, unsigned status, const char *type, struct bw_slice body)
{
    reset(reply, status);
    reply->type = type;
    reply->body = body.ptr;
    reply->body_len = body.len;
}

void bw_reply_send(struct evhttp_request *request, const struct bw_reply *reply)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *body = evbuffer_new(); /* NULL: the status alone is still an answer */
    char seconds[16];
    if (reply->body_len) evhttp_add_header(headers, "Content-Type", reply->type ? reply->type : "application/json");
    for (const char *at = reply->headers.ptr, *value; at < reply->headers.ptr + reply->headers.len; at = value + strlen(value) + 1) {
        value = at + strlen(at) + 1;
        evhttp_add_header(headers, at, value);
    }
    /* An answer is what it says that it is, whatever it looks like: some of them repeat what a sender wrote. */
    if (!evhttp_find_header(headers, "X-Content-Type-Options")) evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    if (reply->closes) evhttp_add_header(headers, "Connection", "close");
    if (reply->allow) evhttp_add_header(headers, "Allow", reply->allow);
    if (reply->challenge) evhttp_add_header(headers, "WWW-Authenticate", reply->challenge);
    if (reply->retry_after_s) {
        snprintf(seconds, sizeof seconds, "%u", reply->retry_after_s);
        evhttp_add_header(headers, "Retry-After", seconds);
    }
    if (body && evhttp_request_get_command(request) != EVHTTP_REQ_HEAD) evbuffer_add(body, reply->body, reply->body_len);
    evhttp_send_reply(request, (int)reply->status, find(reply->status)->phrase, body);
    if (body) evbuffer_free(body);
}

void bw_reply_crash(struct evhttp_request *request)
{
    BW_CRASH_POINT(INGEST_BEFORE_ANSWER);
#ifdef BELLWIRE_TEST_HOOKS
    static const char begun[] = "HTTP/1.1 202";
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evhttp_request_get_connection(request)));
    if (!bw_crash_point_is_due(BW_CRASH_INGEST_MID_ANSWER)) return;
    (void)!write(fd, begun, sizeof begun - 1);
    _exit(137);
#else
    (void)request;
#endif
}
