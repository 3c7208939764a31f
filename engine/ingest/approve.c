#include "ingest/approve.h"
#include "base/clock.h"
#include "base/codec.h"
#include "ingest/approval_page.h"
#include "ingest/connections.h"
#include "ingest/reply.h"
#include <stdlib.h>

/* Whoever moves it away from ASKED decides: the main thread (then its mail to the loop follows) or the loop that must end (then the main thread
 * frees it, whenever it comes to it). */
enum { ASKED, TOLD, ABANDONED };
struct bw_asked {
    struct bw_approval_query query;
    struct bw_loop_mail mail;
    _Atomic int state;
    bool wants_json;
    size_t body_bytes;
    struct bw_loop *loop;
    struct evhttp_request *request;
    struct bw_asked *previous, *next;
};

bool bw_approve_is_path(struct bw_slice path)
{
    size_t len = strlen(BW_APPROVAL_PATH);
    return path.len > len && !memcmp(path.ptr, BW_APPROVAL_PATH, len);
}

static void asked_free(struct bw_asked *asked)
{
    bw_approval_query_clear(&asked->query);
    free(asked);
}

static void send_reply(struct bw_loop *loop, struct evhttp_request *request, struct bw_reply *reply, size_t body_bytes)
{
    if (atomic_load(&loop->ingest->is_draining)) reply->closes = true;
    bw_connection_end(loop, request, body_bytes);
    bw_reply_send(request, reply);
}

static void send_answer(struct bw_loop *loop, struct evhttp_request *request, const struct bw_approval_query *query, bool as_json, size_t body_bytes)
{
    struct bw_reply reply;
    struct bw_buf body = {0};
    unsigned status = bw_approval_status(query);
    (as_json ? bw_approval_json : bw_approval_page)(query, &body);
    bw_reply_bytes(&reply, body.failed ? 503 : status, as_json ? "application/json" : "text/html; charset=utf-8", bw_buf_slice(&body));
    reply.headers = bw_approval_headers;
    reply.closes = false;
    if (reply.status == 503) reply.retry_after_s = 2;
    send_reply(loop, request, &reply, body_bytes);
    bw_buf_free(&body);
}

/* ---- the loop's list of those who wait ---- */

static void link_in(struct bw_asked *asked)
{
    struct bw_loop *loop = asked->loop;
    asked->previous = NULL;
    asked->next = loop->asked;
    if (asked->next) asked->next->previous = asked;
    loop->asked = asked;
}

static void unlink_from(struct bw_asked *asked)
{
    if (asked->previous)
        asked->previous->next = asked->next;
    else
        asked->loop->asked = asked->next;
    if (asked->next) asked->next->previous = asked->previous;
}

static void on_told(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    struct bw_asked *asked = (struct bw_asked *)((char *)mail - offsetof(struct bw_asked, mail));
    unlink_from(asked);
    atomic_fetch_sub(&loop->ingest->asked, 1);
    send_answer(loop, asked->request, &asked->query, asked->wants_json, asked->body_bytes);
    asked_free(asked);
    bw_loop_end_if_done(loop);
}

/* Main thread. */
static void on_done(struct bw_approval_query *query)
{
    struct bw_asked *asked = (struct bw_asked *)query; /* its first member */
    int expected = ASKED;
    if (atomic_compare_exchange_strong(&asked->state, &expected, TOLD))
        bw_mailbox_post(asked->loop->mailbox, &asked->mail.mail);
    else
        asked_free(asked);
}

void bw_approve_end_all(struct bw_loop *loop)
{
    const struct bw_approval_query later = {.answer = BW_APPROVAL_LATER};
    for (struct bw_asked *asked = loop->asked, *next; asked; asked = next) {
        struct evhttp_request *request = asked->request;
        bool wants_json = asked->wants_json;
        size_t body_bytes = asked->body_bytes;
        int expected = ASKED;
        next = asked->next;
        unlink_from(asked); /* before it is given away: from then on the main thread may free it */
        if (!atomic_compare_exchange_strong(&asked->state, &expected, ABANDONED)) {
            link_in(asked); /* its mail is on the way */
            continue;
        }
        atomic_fetch_sub(&loop->ingest->asked, 1);
        send_answer(loop, request, &later, wants_json, body_bytes);
    }
}

/* ---- what was given ---- */

static json_t *decoded(struct bw_slice text)
{
    struct bw_buf out = {0};
    json_t *value = bw_form_decode_append(&out, text) ? json_stringn(out.data ? out.data : "", out.len) : NULL; /* NULL: no UTF-8 */
    if (value && memchr(json_string_value(value), '\0', json_string_length(value))) {
        json_decref(value);
        value = NULL;
    }
    bw_buf_free(&out);
    return value;
}

/* choice=…&by=…&form.NAME=… as {choice, by, form: {NAME: text}}; NULL: it is none of that, or something is there twice. */
static json_t *read_form(struct bw_slice body)
{
    json_t *given = json_object(), *form = json_object();
    bool good = given && form && !json_object_set(given, "form", form);
    while (good && body.len) {
        const char *end = memchr(body.ptr, '&', body.len);
        struct bw_slice pair = {body.ptr, end ? (size_t)(end - body.ptr) : body.len};
        const char *equals = pair.len ? memchr(pair.ptr, '=', pair.len) : NULL;
        size_t name_len = equals ? (size_t)(equals - pair.ptr) : pair.len;
        json_t *name = decoded((struct bw_slice){pair.ptr, name_len});
        json_t *value = decoded(equals ? (struct bw_slice){equals + 1, pair.len - name_len - 1} : (struct bw_slice){"", 0});
        const char *text = name ? json_string_value(name) : "";
        bool is_field = !strncmp(text, "form.", 5);
        json_t *to = is_field ? form : given;
        if (is_field) text += 5;
        good = name && value && !json_object_get(to, text) && !json_object_set(to, text, value);
        json_decref(name);
        json_decref(value);
        body.ptr += pair.len + (end != NULL);
        body.len -= pair.len + (end != NULL);
    }
    json_decref(form);
    if (good) return given;
    json_decref(given);
    return NULL;
}

static bool is_type(const struct bw_request *request, const char *type)
{
    size_t count, len = strlen(type);
    const struct bw_header *header = bw_request_header(request, "Content-Type", &count);
    if (!header || count > 1 || header->value.len < len || !bw_slice_is_nocase((struct bw_slice){header->value.ptr, len}, type)) return false;
    return header->value.len == len || header->value.ptr[len] == ';' || header->value.ptr[len] == ' ';
}

static void refuse(struct bw_loop *loop, struct evhttp_request *request, unsigned status, size_t body_bytes)
{
    struct bw_reply reply;
    bw_reply_refuse(&reply, status);
    if (status == 405) reply.allow = "GET, HEAD, POST";
    send_reply(loop, request, &reply, body_bytes);
}

/* 0, or the status of the refusal. */
static unsigned read_given(struct bw_loop *loop, struct evhttp_request *request, struct bw_asked *asked)
{
    const struct bw_request *parsed = &loop->parts.request;
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    struct bw_slice body = {asked->body_bytes ? (const char *)evbuffer_pullup(input, -1) : "", asked->body_bytes};
    if (!bw_slice_is(parsed->method, "POST")) return 0;
    if (!body.ptr) return 503;
    asked->query.votes = true;
    asked->wants_json = is_type(parsed, "application/json");
    asked->query.has_texts = is_type(parsed, "application/x-www-form-urlencoded");
    if (!asked->wants_json && !asked->query.has_texts) return 415;
    asked->query.given = asked->wants_json ? bw_json_load(body, NULL) : read_form(body);
    evbuffer_drain(input, evbuffer_get_length(input));
    return json_is_object(asked->query.given) ? 0 : 400;
}

bool bw_approve_request(struct bw_loop *loop, struct evhttp_request *request, struct bw_slice remote)
{
    struct bw_ingest *ingest = loop->ingest;
    const struct bw_request *parsed = &loop->parts.request;
    struct bw_slice path = loop->parts.path;
    size_t len = strlen(BW_APPROVAL_PATH), body_bytes = evbuffer_get_length(evhttp_request_get_input_buffer(request));
    struct bw_approval_query gone = {.answer = BW_APPROVAL_GONE};
    bool is_fitting = bw_slice_is(parsed->method, "GET") || bw_slice_is(parsed->method, "HEAD") || bw_slice_is(parsed->method, "POST");
    if (!ingest->options.approval_key ||
        !bw_approval_token_read((struct bw_slice){path.ptr + len, path.len - len}, ingest->options.approval_key, &gone.token))
        return false;
    if (!is_fitting) {
        refuse(loop, request, 405, body_bytes);
        return true;
    }
    if (gone.token.expires_ms <= bw_clock_wall_ms()) {
        send_answer(loop, request, &gone, is_type(parsed, "application/json"), body_bytes);
        return true;
    }
    bool has_room = atomic_fetch_add(&ingest->asked, 1) < BW_APPROVALS_MAX && !loop->is_stopping;
    struct bw_asked *asked = has_room ? calloc(1, sizeof *asked) : NULL;
    unsigned status = 503;
    if (asked) {
        asked->query.token = gone.token;
        asked->query.done = on_done;
        memcpy(asked->query.remote, remote.ptr, remote.len < sizeof asked->query.remote ? remote.len : sizeof asked->query.remote - 1);
        asked->mail.run = on_told;
        asked->loop = loop;
        asked->request = request;
        asked->body_bytes = body_bytes;
        status = read_given(loop, request, asked);
    }
    if (status) {
        atomic_fetch_sub(&ingest->asked, 1);
        if (asked) asked_free(asked);
        refuse(loop, request, status, body_bytes);
        return true;
    }
    link_in(asked);
    ingest->options.ask_approval(ingest->options.arg, &asked->query);
    return true;
}
