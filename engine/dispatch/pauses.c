/* Pausing a workflow. The store decides what is held (store/pausing.h); workers are told of it because they report a run that begins at once only
 * when it has done something: of a paused workflow they report it first, and the store says what becomes of it. One that has not heard yet has begun
 * a run whose event it had before: that goes on. They hear of it before the answer is given, so an event accepted after that is held for certain. */
#include "store/pauses.h"
#include "base/clock.h"
#include "base/suggest.h"
#include "dispatch/internal.h"
#include <stdlib.h>
#include <string.h>

struct pausing {
    struct bw_store_op op;
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    json_t *said; /* where its texts are */
    bw_dispatch_paused *answer;
    void *arg;
};

/* ---- what is paused ---- */

static bool add(void *arg, const struct bw_pause *pause)
{
    return !json_array_append_new(arg, json_stringn(pause->workflow.ptr, pause->workflow.len));
}

static bool read_paused(struct bw_dispatch *dispatch, struct bw_error *err)
{
    json_t *paused = json_array();
    bool good = paused ? bw_reader_pauses(dispatch->reader, add, paused, err) : bw_error_set(err, "memory", "out of memory");
    if (good) {
        json_decref(dispatch->paused);
        dispatch->paused = paused;
    } else {
        json_decref(paused);
    }
    return good;
}

bool bw_pauses_open(struct bw_dispatch *dispatch, struct bw_error *err)
{
    return read_paused(dispatch, err);
}

static void tell(struct bw_run_worker *worker)
{
    json_t *head = json_pack("{s:O}", "workflows", worker->dispatch->paused);
    if (head) bw_channel_send_json(worker->channel, BW_MSG_PAUSED, head, NULL, 0);
    json_decref(head);
}

void bw_pauses_tell(struct bw_run_worker *worker)
{
    if (json_array_size(worker->dispatch->paused)) tell(worker);
}

/* Those of workflows that are let go count on until the last held run has gone: who comes meanwhile is behind them. */
bool bw_pauses_changed(struct bw_dispatch *dispatch, struct bw_error *err)
{
    struct bw_run_worker *worker;
    if (!read_paused(dispatch, err)) return false;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (worker->state != BW_WORKER_KILLED) tell(worker);
    return true;
}

/* ---- somebody says so ---- */

static void pausing_free(struct pausing *pausing)
{
    if (pausing) json_decref(pausing->said);
    free(pausing);
}

static void on_stored(struct bw_store_op *op)
{
    struct pausing *pausing = op->owner; /* writer thread */
    bw_mailbox_post(pausing->dispatch->mailbox, &pausing->mail);
}

void bw_pauses_stored(struct bw_mail *mail)
{
    struct pausing *pausing = (struct pausing *)((char *)mail - offsetof(struct pausing, mail));
    struct bw_dispatch *dispatch = pausing->dispatch;
    struct bw_error err = pausing->op.error;
    bool good = !pausing->op.failed;
    if (good && !dispatch->is_stopped && !bw_pauses_changed(dispatch, &err)) {
        bw_dispatch_fail(dispatch, &err); /* it is on disk, and its next start knows of it */
        good = false;
    }
    pausing->answer(pausing->arg, good ? &pausing->op : NULL, &err);
    pausing_free(pausing);
}

static bool is_known(const struct bw_dispatch *dispatch, const char *name, bool resumes, struct bw_error *err)
{
    const char *names[64];
    size_t count = 0, index;
    json_t *entry;
    json_array_foreach(dispatch->workflows, index, entry)
    {
        const char *known = bw_json_str(entry, "name", "");
        if (!strcmp(known, name)) return true;
        if (count < sizeof names / sizeof *names) names[count++] = known;
    }
    json_array_foreach(dispatch->paused, index, entry) if (resumes && !strcmp(json_string_value(entry), name)) return true; /* it is gone since */
    const char *near = bw_suggest(bw_slice_of(name), names, count);
    bw_error_set(err, "workflow.unknown", "there is no workflow '%s'", name);
    bw_error_hint(err, near ? "did you mean '%s'?" : "see: bellwire workflows", near);
    return false;
}

void bw_dispatch_pause(struct bw_dispatch *dispatch, const char *workflow, bool resumes, const char *reason, const char *by, bw_dispatch_paused *done,
                       void *arg)
{
    struct pausing *pausing = NULL;
    struct bw_error err;
    bool good = !dispatch->is_failed || bw_error_set(&err, "engine.stopping", "the engine is stopping");
    good = good && is_known(dispatch, workflow, resumes, &err);
    if (good &&
        !((pausing = calloc(1, sizeof *pausing)) && (pausing->said = json_pack("{s:s,s:s,s:s*}", "workflow", workflow, "by", by, "reason", reason))))
        good = bw_error_set(&err, "memory", "out of memory");
    if (!good) {
        pausing_free(pausing);
        done(arg, NULL, &err);
        return;
    }
    pausing->dispatch = dispatch;
    pausing->answer = done;
    pausing->arg = arg;
    pausing->mail.kind = BW_MAIL_PAUSE;
    pausing->op = (struct bw_store_op){.kind = BW_OP_PAUSE,
                                       .done = on_stored,
                                       .owner = pausing,
                                       .now_ms = bw_clock_wall_ms(),
                                       .pause = {.workflow = bw_json_slice(json_object_get(pausing->said, "workflow")),
                                                 .reason = bw_json_slice(json_object_get(pausing->said, "reason")),
                                                 .actor = bw_json_slice(json_object_get(pausing->said, "by")),
                                                 .resumes = resumes}};
    bw_store_submit(dispatch->options.store, &pausing->op);
}
