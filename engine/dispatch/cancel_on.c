/* Runs that are under way and for which an event has come that may cancel them (`cancel_on`), or that another one has cancelled (`when_full:
 * cancel_running`): the worker that executes one is told. One that nobody executes needs no word: whoever takes it up finds it recorded. */
#include "base/log.h"
#include "dispatch/internal.h"
#include <stdlib.h>
#include <string.h>

struct told { /* one allocation */
    struct bw_mail mail;
    size_t count;
    struct bw_watched runs[];
};

void bw_cancel_on_tell(struct bw_dispatch *dispatch, const struct bw_store_wakes *wakes)
{
    struct told *told = wakes->watched_count ? malloc(sizeof *told + wakes->watched_count * sizeof *told->runs) : NULL;
    if (!told) return; /* without memory: the run finds it when it wants to park */
    told->mail.kind = BW_MAIL_WATCHED;
    told->count = wakes->watched_count;
    memcpy(told->runs, wakes->watched, wakes->watched_count * sizeof *told->runs);
    bw_mailbox_post(dispatch->mailbox, &told->mail);
}

struct found {
    struct bw_run_worker *worker;
    struct bw_wake wake; /* of its `cancel_on` */
};

static bool look_at(void *arg, const struct bw_run *run)
{
    struct found *found = arg;
    if (run->cancel.len) {
        bw_cancels_tell(found->worker, run->row.uid, run->cancel);
        return true;
    }
    for (size_t i = 0; i < run->row.step_count; i++)
        if (bw_slice_is(run->row.steps[i].path, BW_CANCEL_ON_PATH)) found->wake = run->row.steps[i].wake;
    return true;
}

struct message {
    struct bw_run_worker *worker;
    const struct bw_watched *watched;
    const struct bw_wake *wake;
};

static bool send_event(void *arg, const struct bw_event *event)
{
    const struct message *message = arg;
    struct bw_buf head = {0};
    char run[BW_UID_TEXT], uid[BW_UID_TEXT];
    struct bw_slice body = event->is_damaged ? (struct bw_slice){"", 0} : event->body;
    bw_buf_printf(&head,
                  "{\"run\":\"%s\",\"wake\":{\"arm\":%u,\"at_ms\":%lld,\"event\":{\"id\":%lld,\"uid\":\"%s\",\"at_ms\":%lld,\"trusted\":%s,\"name\":",
                  bw_uid_text(message->watched->run, BW_UID_RUN, run), message->wake->arm, (long long)message->wake->at_ms, (long long)event->id,
                  bw_uid_text(event->uid, BW_UID_EVENT, uid), (long long)event->at_ms, event->trusted ? "true" : "false");
    bw_buf_append_json_string(&head, event->name);
    bw_buf_append_text(&head, ",\"source\":");
    bw_buf_append_json_string(&head, event->source);
    bw_buf_append_text(&head, "}},\"body_part\":0}");
    if (!head.failed) bw_channel_send(message->worker->channel, BW_MSG_CANCEL_EVENT, bw_buf_slice(&head), &body, 1);
    bw_buf_free(&head);
    return false;
}

static void tell_worker(struct bw_dispatch *dispatch, const struct bw_watched *watched)
{
    struct bw_job *job = bw_jobs_find(dispatch, -watched->run_id);
    struct found in = {0};
    struct bw_error err;
    bool found;
    if (!job) job = bw_jobs_find(dispatch, watched->event_id);
    if (!job || !job->worker || job->worker->state != BW_WORKER_LIVE) return;
    in.worker = job->worker;
    if (!bw_reader_run(dispatch->reader, watched->run, look_at, &in, &found, &err)) {
        bw_log_error(BW_LOG_ERROR, "dispatch.read_runs", &err);
        return;
    }
    if (in.wake.kind != BW_WAKE_EVENT) return; /* it is over by now, or told */
    if (!bw_reader_event_by_id(dispatch->reader, in.wake.event_id, true, send_event,
                               &(struct message){.worker = job->worker, .watched = watched, .wake = &in.wake}, &found, &err))
        bw_log_error(BW_LOG_ERROR, "dispatch.read_back", &err);
}

void bw_cancel_on_told(struct bw_dispatch *dispatch, struct bw_mail *mail)
{
    struct told *told = (struct told *)((char *)mail - offsetof(struct told, mail));
    for (size_t i = 0; dispatch->jobs && i < told->count; i++) tell_worker(dispatch, &told->runs[i]);
    free(told);
}
