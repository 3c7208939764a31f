/* The state of a run for whoever has the link to it: read from the store, so what it says is on disk. */
#include "dispatch/status.h"
#include "base/log.h"
#include "dispatch/internal.h"

#define RUNS_MAX 2 /* of an event, when it is not known which one answers: with two there is none that does */

struct found {
    struct bw_status_query *query;
    int64_t event_id;
    size_t run_count;
};

static bool on_event(void *arg, const struct bw_event *event)
{
    ((struct found *)arg)->event_id = event->id;
    return false;
}

/* As the answer would have been (responses.c): the outputs of a good run; of a bad one what failed, but not why. */
static bool on_run(void *arg, const struct bw_run *run)
{
    struct found *found = arg;
    struct bw_status_query *query = found->query;
    const struct bw_run_row *row = &run->row;
    bool is_good = row->state == BW_RUN_SUCCEEDED || row->state == BW_RUN_SKIPPED;
    char uid[BW_UID_TEXT];
    if (found->run_count++) return false;
    bw_buf_clear(&query->body);
    bw_buf_printf(&query->body, "{\"event\":\"%s\"", bw_uid_text(query->token.event, BW_UID_EVENT, uid));
    bw_buf_printf(&query->body, ",\"run\":\"%s\",\"state\":\"%s\"", bw_uid_text(row->uid, BW_UID_RUN, uid), bw_run_state_name(row->state));
    query->is_over = row->state >= BW_RUN_SUCCEEDED;
    if (is_good && !run->child.is_sensitive) {
        bw_buf_append_text(&query->body, ",\"output\":");
        bw_buf_append_slice(&query->body, row->output.len ? row->output : BW_SLICE("{}"));
    } else if (query->is_over && !is_good) {
        json_t *error = row->error.len ? bw_json_load(row->error, NULL) : NULL;
        bw_buf_append_text(&query->body, ",\"error\":");
        bw_buf_append_json_string(&query->body, bw_slice_of(bw_json_str(error, "code", bw_run_state_name(row->state))));
        json_decref(error);
    }
    bw_buf_append_text(&query->body, "}\n");
    return true;
}

static void say_state(struct bw_status_query *query, const char *state)
{
    char uid[BW_UID_TEXT];
    bw_buf_clear(&query->body);
    bw_buf_printf(&query->body, "{\"event\":\"%s\",", bw_uid_text(query->token.event, BW_UID_EVENT, uid));
    if (!bw_uid_is_zero(query->token.run)) bw_buf_printf(&query->body, "\"run\":\"%s\",", bw_uid_text(query->token.run, BW_UID_RUN, uid));
    bw_buf_printf(&query->body, "\"state\":\"%s\"}\n", state);
}

static bool look(struct bw_status_query *query, struct bw_error *err)
{
    struct bw_reader *reader = query->dispatch->reader;
    struct found found = {.query = query};
    bool is_there;
    if (!bw_reader_event(reader, query->token.event, on_event, &found, &is_there, err)) return false;
    query->status = is_there ? 200 : 410;
    if (!is_there) {
        query->is_over = true;
        say_state(query, "gone");
        return true;
    }
    say_state(query, "accepted");
    if (!bw_uid_is_zero(query->token.run)) return bw_reader_run(reader, query->token.run, on_run, &found, &is_there, err);
    const struct bw_run_filter filter = {.event_id = found.event_id, .limit = RUNS_MAX};
    if (!bw_reader_runs(reader, &filter, on_run, &found, err)) return false;
    if (found.run_count > 1) say_state(query, "accepted");
    return true;
}

void bw_status_mail(struct bw_mail *mail)
{
    struct bw_status_query *query = (struct bw_status_query *)((char *)mail - offsetof(struct bw_status_query, mail));
    const struct bw_dispatch *dispatch = query->dispatch;
    struct bw_error err;
    query->status = 503;
    if (!dispatch->is_stopped && !dispatch->is_failed && dispatch->reader && !look(query, &err)) {
        bw_log_error(BW_LOG_WARN, "dispatch.status", &err);
        query->status = 503;
    }
    if (query->body.failed) query->status = 503;
    query->done(query);
}

void bw_dispatch_ask_status(struct bw_dispatch *dispatch, struct bw_status_query *query)
{
    query->dispatch = dispatch;
    query->mail.kind = BW_MAIL_STATUS;
    bw_mailbox_post(dispatch->mailbox, &query->mail);
}
