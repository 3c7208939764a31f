#include "ingest/approve.h"
#include "base/clock.h"
#include "base/codec.h"
#include "ingest/approval_page.h"
#include "ingest/asked.h"
#include "ingest/connections.h"
#include <stdlib.h>

struct approval_asked {
    struct bw_asked asked;
    struct bw_approval_query query;
};

bool bw_approve_is_path(struct bw_slice path)
{
    size_t len = strlen(BW_APPROVAL_PATH);
    return path.len > len && !memcmp(path.ptr, BW_APPROVAL_PATH, len);
}

static void send_answer(struct bw_connection *connection, const struct bw_approval_query *query, bool as_json)
{
    struct bw_reply reply;
    struct bw_buf body = {0};
    unsigned status = bw_approval_status(query);
    (as_json ? bw_approval_json : bw_approval_page)(query, &body);
    bw_reply_bytes(&reply, body.failed ? 503 : status, as_json ? "application/json" : "text/html; charset=utf-8", bw_buf_slice(&body));
    reply.headers = bw_approval_headers;
    reply.closes = false;
    if (reply.status == 503) reply.retry_after_s = 2;
    bw_connection_answer(connection, &reply);
    bw_buf_free(&body);
}

static void answer(struct bw_connection *connection, const struct bw_asked *asked, bool wants_json)
{
    const struct bw_approval_query later = {.answer = BW_APPROVAL_LATER};
    send_answer(connection, asked ? &((const struct approval_asked *)asked)->query : &later, wants_json);
}

static void asked_free(struct bw_asked *asked)
{
    bw_approval_query_clear(&((struct approval_asked *)asked)->query);
    free(asked);
}

static const struct bw_asked_kind kind = {answer, asked_free};

static void on_done(struct bw_approval_query *query)
{
    bw_asked_told(&((struct approval_asked *)((char *)query - offsetof(struct approval_asked, query)))->asked);
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

static void refuse(struct bw_connection *connection, unsigned status)
{
    struct bw_reply reply;
    bw_reply_refuse(&reply, status);
    if (status == 405) reply.allow = "GET, HEAD, POST";
    bw_connection_answer(connection, &reply);
}

/* 0, or the status of the refusal. */
static unsigned read_given(struct bw_connection *connection, struct approval_asked *asked)
{
    const struct bw_request *parsed = &connection->loop->parts.request;
    struct bw_slice body = connection->inbound.body;
    if (!bw_slice_is(parsed->method, "POST")) return 0;
    asked->query.votes = true;
    asked->asked.wants_json = bw_request_is_type(parsed, "application/json");
    asked->query.has_texts = bw_request_is_type(parsed, "application/x-www-form-urlencoded");
    if (!asked->asked.wants_json && !asked->query.has_texts) return 415;
    asked->query.given = asked->asked.wants_json ? bw_json_load(body, NULL) : read_form(body);
    bw_inbound_drop_body(&connection->inbound);
    return json_is_object(asked->query.given) ? 0 : 400;
}

bool bw_approve_request(struct bw_connection *connection, struct bw_slice remote)
{
    struct bw_loop *loop = connection->loop;
    struct bw_ingest *ingest = loop->ingest;
    const struct bw_request *parsed = &loop->parts.request;
    struct bw_slice path = loop->parts.path;
    size_t len = strlen(BW_APPROVAL_PATH);
    struct bw_approval_query gone = {.answer = BW_APPROVAL_GONE};
    bool is_fitting = bw_slice_is(parsed->method, "GET") || bw_slice_is(parsed->method, "HEAD") || bw_slice_is(parsed->method, "POST");
    if (!ingest->options.link_key ||
        !bw_approval_token_read((struct bw_slice){path.ptr + len, path.len - len}, ingest->options.link_key, &gone.token))
        return false;
    if (!is_fitting) {
        refuse(connection, 405);
        return true;
    }
    if (gone.token.expires_ms <= bw_clock_wall_ms()) {
        send_answer(connection, &gone, bw_request_is_type(parsed, "application/json"));
        return true;
    }
    bool has_room = bw_asked_enter(loop);
    struct approval_asked *asked = has_room ? calloc(1, sizeof *asked) : NULL;
    unsigned status = 503;
    if (asked) {
        asked->asked = (struct bw_asked){.kind = &kind, .connection = connection};
        asked->query.token = gone.token;
        asked->query.done = on_done;
        memcpy(asked->query.remote, remote.ptr, remote.len < sizeof asked->query.remote ? remote.len : sizeof asked->query.remote - 1);
        status = read_given(connection, asked);
    }
    if (status) {
        if (has_room) bw_asked_leave(loop);
        if (asked) asked_free(&asked->asked);
        refuse(connection, status);
        return true;
    }
    bw_asked_wait(&asked->asked);
    ingest->options.ask_approval(ingest->options.arg, &asked->query);
    return true;
}
