#include "ingest/reply.h"
#include "base/crash_point.h"
#include "base/random.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
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

/* ---- as it is sent ---- */

static bool is_line(const char *text)
{
    return !text[strcspn(text, "\r\n")];
}

static void append_header(struct bw_buf *out, const char *name, const char *value)
{
    if (!is_line(name) || !is_line(value)) return;
    bw_buf_append_text(out, name);
    bw_buf_append_slice(out, BW_SLICE(": "));
    bw_buf_append_text(out, value);
    bw_buf_append_slice(out, BW_SLICE("\r\n"));
}

static void append_number(struct bw_buf *out, const char *name, size_t number)
{
    bw_buf_append_text(out, name);
    bw_buf_append_slice(out, BW_SLICE(": "));
    bw_buf_append_int(out, (int64_t)number);
    bw_buf_append_slice(out, BW_SLICE("\r\n"));
}

/* RFC 9110 6.6.1. Made once a second. */
static void append_date(struct bw_buf *out, int64_t now_ms)
{
    static _Thread_local int64_t made_s = INT64_MIN;
    static _Thread_local char text[48];
    if (now_ms / 1000 != made_s) {
        static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        time_t now_s = made_s = now_ms / 1000;
        struct tm at;
        if (!gmtime_r(&now_s, &at)) return;
        snprintf(text, sizeof text, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[at.tm_wday], at.tm_mday, months[at.tm_mon],
                 (at.tm_year + 1900) % 10000, at.tm_hour, at.tm_min, at.tm_sec);
    }
    bw_buf_append_text(out, text);
}

static void append_status(struct bw_buf *out, unsigned status)
{
    bw_buf_append_slice(out, BW_SLICE("HTTP/1.1 "));
    bw_buf_append_int(out, status);
    bw_buf_append_char(out, ' ');
    bw_buf_append_text(out, find(status)->phrase);
    bw_buf_append_slice(out, BW_SLICE("\r\n"));
}

/* Those of the reply's own; true: one of them says what X-Content-Type-Options says. */
static bool append_own(struct bw_buf *out, struct bw_slice headers)
{
    bool says_options = false;
    for (const char *at = headers.ptr, *value; at < headers.ptr + headers.len; at = value + strlen(value) + 1) {
        value = at + strlen(at) + 1;
        append_header(out, at, value);
        says_options = says_options || !strcasecmp(at, "X-Content-Type-Options");
    }
    return says_options;
}

void bw_reply_append(struct bw_buf *out, const struct bw_reply *reply, const struct bw_reply_to *to, int64_t now_ms)
{
    append_status(out, reply->status);
    if (reply->body_len) append_header(out, "Content-Type", reply->type ? reply->type : "application/json");
    /* An answer is what it says that it is, whatever it looks like: some of them repeat what a sender wrote. */
    if (!append_own(out, reply->headers)) append_header(out, "X-Content-Type-Options", "nosniff");
    if (reply->closes || to->keeps) append_header(out, "Connection", reply->closes ? "close" : "keep-alive");
    if (reply->allow) append_header(out, "Allow", reply->allow);
    if (reply->challenge) append_header(out, "WWW-Authenticate", reply->challenge);
    if (reply->retry_after_s) append_number(out, "Retry-After", reply->retry_after_s);
    append_date(out, now_ms);
    bool has_body = !to->is_head && reply->status != 204 && reply->status != 304; /* RFC 9110 6.4.1 */
    if (has_body) append_number(out, "Content-Length", reply->body_len);
    bw_buf_append_slice(out, BW_SLICE("\r\n"));
    if (has_body) bw_buf_append_slice(out, (struct bw_slice){reply->body_len ? reply->body : "", reply->body_len});
}

void bw_reply_crash(int fd)
{
    BW_CRASH_POINT(INGEST_BEFORE_ANSWER);
#ifdef BELLWIRE_TEST_HOOKS
    static const char begun[] = "HTTP/1.1 202";
    if (!bw_crash_point_is_due(BW_CRASH_INGEST_MID_ANSWER)) return;
    (void)!write(fd, begun, sizeof begun - 1);
    _exit(137);
#else
    (void)fd;
#endif
}
