#include "ingest/status.h"
#include "ingest/asked.h"
#include "ingest/connections.h"
#include <stdlib.h>
#include <string.h>

#define AGAIN_AFTER_S 2 /* while it may change */

struct status_asked {
    struct bw_asked asked;
    struct bw_status_query query;
};

bool bw_status_is_path(struct bw_slice path)
{
    size_t len = strlen(BW_STATUS_PATH);
    return path.len > len && !memcmp(path.ptr, BW_STATUS_PATH, len);
}

void bw_status_url(struct bw_loop *loop, struct bw_uid event, struct bw_uid run, struct bw_buf *out)
{
    const struct bw_ingest_options *options = &loop->ingest->options;
    const struct bw_status_token token = {.event = event, .run = run};
    bw_buf_clear(out);
    if (!options->link_key) return;
    if (options->config->public_url) bw_buf_append_text(out, options->config->public_url);
    bw_buf_append_text(out, BW_STATUS_PATH);
    if (!bw_status_token_append(out, options->link_key, &token)) bw_buf_clear(out);
}

static void answer(struct bw_connection *connection, const struct bw_asked *asked, bool wants_json)
{
    const struct bw_status_query *query = asked ? &((const struct status_asked *)asked)->query : NULL;
    struct bw_reply reply;
    (void)wants_json;
    if (!query || query->status == 503) {
        bw_reply_refuse(&reply, 503);
    } else {
        bw_reply_bytes(&reply, query->status, NULL, bw_buf_slice(&query->body));
        reply.headers = BW_SLICE("Cache-Control\0no-store\0");
        reply.retry_after_s = query->is_over ? 0 : AGAIN_AFTER_S;
    }
    reply.closes = false;
    bw_connection_answer(connection, &reply);
}

static void asked_free(struct bw_asked *asked)
{
    bw_buf_free(&((struct status_asked *)asked)->query.body);
    free(asked);
}

static const struct bw_asked_kind kind = {answer, asked_free};

static void on_done(struct bw_status_query *query)
{
    bw_asked_told(&((struct status_asked *)((char *)query - offsetof(struct status_asked, query)))->asked);
}

bool bw_status_request(struct bw_connection *connection)
{
    struct bw_loop *loop = connection->loop;
    const struct bw_ingest_options *options = &loop->ingest->options;
    const struct bw_request *parsed = &loop->parts.request;
    struct bw_slice path = loop->parts.path;
    size_t len = strlen(BW_STATUS_PATH);
    struct bw_status_token token;
    struct bw_reply reply;
    if (!options->link_key || !bw_status_token_read((struct bw_slice){path.ptr + len, path.len - len}, options->link_key, &token)) return false;
    if (!bw_slice_is(parsed->method, "GET") && !bw_slice_is(parsed->method, "HEAD")) {
        bw_reply_refuse(&reply, 405);
        reply.allow = "GET, HEAD";
        bw_connection_answer(connection, &reply);
        return true;
    }
    bool has_room = bw_asked_enter(loop);
    struct status_asked *asked = has_room ? calloc(1, sizeof *asked) : NULL;
    if (!asked) {
        if (has_room) bw_asked_leave(loop);
        answer(connection, NULL, true);
        return true;
    }
    asked->asked = (struct bw_asked){.kind = &kind, .connection = connection, .wants_json = true};
    asked->query = (struct bw_status_query){.token = token, .done = on_done};
    bw_asked_wait(&asked->asked);
    options->ask_status(options->arg, &asked->query);
    return true;
}
