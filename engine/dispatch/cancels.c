/* Cancelling a run. What is on disk decides: a run that has a row gets the flag there first (BW_OP_CANCEL), and only then the worker that executes it
 * is told, so whoever dies, the next one finds the flag. A run without a row is in the memory of one worker only: that one is told, now and then
 * anew, until a report of the run is on disk. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include <stdlib.h>
#include <string.h>

#define PATIENCE_US 15000000LL /* for the first report of a run that has no row */
#define AGAIN_US 1000000LL

struct cancel {
    TAILQ_ENTRY(cancel) link; /* in `waiting`, when the store does not know the run */
    struct bw_store_op op;
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    struct bw_uid run;
    struct bw_buf why; /* {reason?, by} */
    json_t *said;      /* the same */
    bw_dispatch_cancelled *answer;
    void *arg;
    int64_t deadline_us;
    bool is_told; /* its worker was, before the store knew the run */
};
struct bw_cancels {
    TAILQ_HEAD(, cancel) waiting;
    int64_t again_us;
};

struct bw_cancels *bw_cancels_new(void)
{
    struct bw_cancels *cancels = calloc(1, sizeof *cancels);
    if (cancels) TAILQ_INIT(&cancels->waiting);
    return cancels;
}

static void cancel_free(struct cancel *cancel)
{
    if (!cancel) return;
    bw_buf_free(&cancel->why);
    json_decref(cancel->said);
    free(cancel);
}

static void answer(struct cancel *cancel, const char *state, const struct bw_error *err)
{
    cancel->answer(cancel->arg, state, err);
    cancel_free(cancel);
}

static void refuse_ended(struct cancel *cancel, enum bw_run_state state)
{
    struct bw_error err;
    bw_error_set(&err, "run.ended", "the run has ended already: %s", bw_run_state_name(state));
    answer(cancel, NULL, &err);
}

static void refuse_unknown(struct cancel *cancel)
{
    struct bw_error err;
    char uid[BW_UID_TEXT];
    bw_error_set(&err, "run.unknown", "there is no run %s", bw_uid_text(cancel->run, BW_UID_RUN, uid));
    bw_error_hint(&err, "those that can be cancelled: bellwire runs --state parked, bellwire runs --state active");
    answer(cancel, NULL, &err);
}

/* ---- workers ---- */

void bw_cancels_tell(struct bw_run_worker *worker, struct bw_uid run, struct bw_slice why)
{
    struct bw_buf head = {0};
    char uid[BW_UID_TEXT];
    bw_buf_printf(&head, "{\"run\":\"%s\"", bw_uid_text(run, BW_UID_RUN, uid));
    if (why.len) {
        bw_buf_append_text(&head, ",\"cancelled\":");
        bw_buf_append_slice(&head, why);
    }
    bw_buf_append_char(&head, '}');
    if (!head.failed) bw_channel_send(worker->channel, BW_MSG_CANCEL, bw_buf_slice(&head), NULL, 0);
    bw_buf_free(&head);
}

/* Whoever may be executing the run; one that is not takes no notice. */
static void tell_worker(const struct cancel *cancel)
{
    struct bw_job *job = bw_jobs_of_run(cancel->dispatch, cancel->run);
    if (job) bw_cancels_tell(job->worker, cancel->run, bw_buf_slice(&cancel->why));
}

void bw_cancels_drop(struct bw_dispatch *dispatch, const struct bw_run_ids *dropped)
{
    for (size_t i = 0; i < dropped->count; i++) {
        const struct bw_job *job = bw_jobs_find(dispatch, -dropped->ids[i]);
        if (job && job->worker) bw_cancels_tell(job->worker, job->run, (struct bw_slice){0});
    }
}

/* ---- the store ---- */

static void on_stored(struct bw_store_op *op)
{
    struct cancel *cancel = op->owner; /* writer thread */
    bw_mailbox_post(cancel->dispatch->mailbox, &cancel->mail);
}

static void submit(struct cancel *cancel)
{
    cancel->mail.kind = BW_MAIL_CANCEL;
    cancel->op = (struct bw_store_op){.kind = BW_OP_CANCEL,
                                      .done = on_stored,
                                      .owner = cancel,
                                      .now_ms = bw_clock_wall_ms(),
                                      .cancel = {.run = cancel->run,
                                                 .why = bw_buf_slice(&cancel->why),
                                                 .reason = bw_json_slice(json_object_get(cancel->said, "reason")),
                                                 .actor = bw_json_slice(json_object_get(cancel->said, "by"))}};
    bw_store_submit(cancel->dispatch->options.store, &cancel->op);
}

void bw_dispatch_cancel(struct bw_dispatch *dispatch, struct bw_uid run, const char *reason, const char *by, bw_dispatch_cancelled *done, void *arg)
{
    struct cancel *cancel = calloc(1, sizeof *cancel);
    struct bw_error err;
    if (cancel && (cancel->said = json_pack("{s:s*,s:s}", "reason", reason, "by", by))) bw_json_append(&cancel->why, cancel->said);
    if (!cancel || !cancel->why.len || cancel->why.failed || dispatch->is_failed) {
        cancel_free(cancel);
        bw_error_set(&err, dispatch->is_failed ? "engine.stopping" : "memory", dispatch->is_failed ? "the engine is stopping" : "out of memory");
        done(arg, NULL, &err);
        return;
    }
    cancel->dispatch = dispatch;
    cancel->run = run;
    cancel->answer = done;
    cancel->arg = arg;
    cancel->deadline_us = bw_clock_mono_us() + PATIENCE_US;
    submit(cancel);
}

void bw_cancels_stored(struct bw_mail *mail)
{
    struct cancel *cancel = (struct cancel *)((char *)mail - offsetof(struct cancel, mail));
    struct bw_dispatch *dispatch = cancel->dispatch;
    enum bw_run_state found = cancel->op.cancel.found;
    if (cancel->op.failed) {
        answer(cancel, NULL, &cancel->op.error);
    } else if (found == BW_RUN_CANCELLED && cancel->is_told) {
        answer(cancel, "cancelled", NULL);
    } else if (found >= BW_RUN_SUCCEEDED) {
        refuse_ended(cancel, found);
    } else if (found) {
        if (!cancel->op.cancel.has_ended) tell_worker(cancel);
        answer(cancel, cancel->op.cancel.has_ended ? "cancelled" : "cancelling", NULL);
    } else if (!dispatch->is_failed && !bw_jobs_may_have(dispatch, cancel->run)) {
        refuse_unknown(cancel);
    } else {
        tell_worker(cancel);
        cancel->is_told = true;
        TAILQ_INSERT_TAIL(&dispatch->cancels->waiting, cancel, link);
    }
}

void bw_cancels_reported(struct bw_dispatch *dispatch, const struct bw_run_row *runs, size_t count)
{
    struct cancel *cancel, *next;
    if (!dispatch->cancels || dispatch->is_failed) return; /* the store may be closed by now */
    for (cancel = TAILQ_FIRST(&dispatch->cancels->waiting); cancel; cancel = next) {
        size_t i = 0;
        next = TAILQ_NEXT(cancel, link);
        while (i < count && !bw_uid_equal(runs[i].uid, cancel->run)) i++;
        if (i == count) continue;
        TAILQ_REMOVE(&dispatch->cancels->waiting, cancel, link);
        if (runs[i].state < BW_RUN_SUCCEEDED)
            submit(cancel); /* it has a row now */
        else if (runs[i].state == BW_RUN_CANCELLED)
            answer(cancel, "cancelled", NULL);
        else
            refuse_ended(cancel, runs[i].state);
    }
}

void bw_cancels_watch(struct bw_dispatch *dispatch)
{
    struct bw_cancels *cancels = dispatch->cancels;
    struct cancel *cancel, *next;
    int64_t now = bw_clock_mono_us();
    if (TAILQ_EMPTY(&cancels->waiting) || now < cancels->again_us) return;
    cancels->again_us = now + AGAIN_US;
    for (cancel = TAILQ_FIRST(&cancels->waiting); cancel; cancel = next) {
        next = TAILQ_NEXT(cancel, link);
        if (now < cancel->deadline_us && bw_jobs_may_have(dispatch, cancel->run)) {
            tell_worker(cancel); /* its worker may be another one by now */
            continue;
        }
        TAILQ_REMOVE(&cancels->waiting, cancel, link);
        refuse_unknown(cancel);
    }
}

void bw_cancels_free(struct bw_cancels *cancels)
{
    struct bw_error err;
    struct cancel *cancel;
    if (!cancels) return;
    bw_error_set(&err, "engine.stopping", "the engine is stopping; the run goes on at its next start");
    while ((cancel = TAILQ_FIRST(&cancels->waiting))) {
        TAILQ_REMOVE(&cancels->waiting, cancel, link);
        answer(cancel, NULL, &err);
    }
    free(cancels);
}
