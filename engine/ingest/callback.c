#include "ingest/callback.h"
#include "base/clock.h"
#include "ingest/asked.h"
#include "ingest/connections.h"
#include <stdlib.h>
#include <string.h>

#define AGAIN_AFTER_S 2 /* a step that does not wait yet */

struct callback_asked {
    struct bw_asked asked;
    struct bw_callback_query query;
};

bool bw_callback_is_path(struct bw_slice path)
{
    size_t len = strlen(BW_CALLBACK_PATH);
    return path.len > len && !memcmp(path.ptr, BW_CALLBACK_PATH, len);
}

static void send_answer(struct bw_connection *connection, const struct bw_callback_query *query)
{
    static const char *const names[] = {
        [BW_CALLBACK_LATER] = "later", [BW_CALLBACK_DONE] = "done", [BW_CALLBACK_WRONG] = "wrong", [BW_CALLBACK_GONE] = "gone"};
    static const unsigned statuses[] = {[BW_CALLBACK_LATER] = 503, [BW_CALLBACK_DONE] = 200, [BW_CALLBACK_WRONG] = 422, [BW_CALLBACK_GONE] = 410};
    struct bw_reply reply;
    struct bw_buf body = {0};
    bw_buf_printf(&body, "{\"status\":\"%s\"", names[query->answer]);
    if (query->answer == BW_CALLBACK_WRONG) {
        bw_buf_append_text(&body, ",\"error\":");
        bw_json_append_error(&body, &query->error, NULL, (struct bw_slice){0});
    }
    bw_buf_append_text(&body, "}\n");
    bw_reply_bytes(&reply, body.failed ? 503 : statuses[query->answer], NULL, bw_buf_slice(&body));
    reply.headers = BW_SLICE("Cache-Control\0no-store\0");
    reply.closes = false;
    if (reply.status == 503) reply.retry_after_s = AGAIN_AFTER_S;
    bw_connection_answer(connection, &reply);
    bw_buf_free(&body);
}

static void answer(struct bw_connection *connection, const struct bw_asked *asked, bool wants_json)
{
    const struct bw_callback_query later = {.answer = BW_CALLBACK_LATER};
    (void)wants_json;
    send_answer(connection, asked ? &((const struct callback_asked *)asked)->query : &later);
}

static void asked_free(struct bw_asked *asked)
{
    bw_callback_query_clear(&((struct callback_asked *)asked)->query);
    free(asked);
}

static const struct bw_asked_kind kind = {answer, asked_free};

static void on_done(struct bw_callback_query *query)
{
    bw_asked_told(&((struct callback_asked *)((char *)query - offsetof(struct callback_asked, query)))->asked);
}

static void refuse(struct bw_connection *connection, unsigned status)
{
    struct bw_reply reply;
    bw_reply_refuse(&reply, status);
    if (status == 405) reply.allow = "POST";
    bw_connection_answer(connection, &reply);
}

/* 0, or the status of the refusal. */
static unsigned read_given(struct bw_connection *connection, struct callback_asked *asked)
{
    asked->query.given = bw_json_load(connection->inbound.body, NULL);
    bw_inbound_drop_body(&connection->inbound);
    return json_is_object(asked->query.given) ? 0 : 400;
}

bool bw_callback_request(struct bw_connection *connection, struct bw_slice remote)
{
    struct bw_loop *loop = connection->loop;
    const struct bw_ingest_options *options = &loop->ingest->options;
    struct bw_slice path = loop->parts.path;
    size_t len = strlen(BW_CALLBACK_PATH);
    struct bw_callback_query gone = {.answer = BW_CALLBACK_GONE};
    if (!options->link_key || !bw_callback_token_read((struct bw_slice){path.ptr + len, path.len - len}, options->link_key, &gone.token, &gone.turn))
        return false;
    if (!bw_slice_is(loop->parts.request.method, "POST")) {
        refuse(connection, 405);
        return true;
    }
    if (!bw_request_is_type(&loop->parts.request, "application/json")) {
        refuse(connection, 415);
        return true;
    }
    if (gone.token.expires_ms <= bw_clock_wall_ms()) {
        send_answer(connection, &gone);
        return true;
    }
    bool has_room = bw_asked_enter(loop);
    struct callback_asked *asked = has_room ? calloc(1, sizeof *asked) : NULL;
    unsigned status = 503;
    if (asked) {
        asked->asked = (struct bw_asked){.kind = &kind, .connection = connection, .wants_json = true};
        asked->query.token = gone.token;
        asked->query.turn = gone.turn;
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
    options->ask_callback(options->arg, &asked->query);
    return true;
}
