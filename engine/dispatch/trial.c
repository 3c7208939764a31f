/* `bellwire test`: when is nothing left to do at this time? When no job and no report is on its way, the store has committed all that it was given
 * and told what it woke, and the worker, which was asked after all that, says so too. */
#include "base/clock.h"
#include "dispatch/collecting.h"
#include <stdlib.h>

struct bw_trial_watch {
    struct bw_store_op op; /* goes behind all that was submitted; in the store while is_store_asked */
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    struct bw_collecting collecting; /* borrowed by op */
    json_t *begun;                   /* how the test began, for a worker that replaces another one */
    bool is_going;                   /* `quiet` is owed */
    int64_t ask;                     /* the worker was asked this, and has not answered; 0 = nothing */
    int64_t next_ask;
    bool is_store_asked;
    uint64_t exchanged; /* when they were asked */
    int64_t worker_due_ms;
};

static void on_stored(struct bw_store_op *op)
{
    struct bw_trial_watch *trial = op->owner; /* writer thread */
    bw_mailbox_post(trial->dispatch->mailbox, &trial->mail);
}

struct bw_trial_watch *bw_trial_watch_new(struct bw_dispatch *dispatch)
{
    struct bw_trial_watch *trial = calloc(1, sizeof *trial);
    if (!trial) return NULL;
    trial->dispatch = dispatch;
    trial->mail.kind = BW_MAIL_TRIAL;
    bw_clock_stop_at(bw_clock_wall_ms());
    return trial;
}

void bw_trial_watch_free(struct bw_trial_watch *trial)
{
    if (trial) json_decref(trial->begun);
    if (trial) bw_collecting_release(&trial->collecting);
    free(trial);
}

static void send_time(struct bw_trial_watch *trial, struct bw_run_worker *worker)
{
    json_t *head = json_pack("{s:I,s:I}", "now_ms", (json_int_t)bw_clock_wall_ms(), "ask", (json_int_t)trial->ask);
    bw_channel_send_json(worker->channel, BW_MSG_TRIAL, head, NULL, 0);
    json_decref(head);
}

void bw_dispatch_trial_begin(struct bw_dispatch *dispatch, int64_t now_ms, const char *workflow, json_t *mocks, json_t *values)
{
    struct bw_run_worker *worker;
    bw_clock_stop_at(now_ms);
    json_decref(dispatch->trial->begun);
    dispatch->trial->begun = json_pack("{s:I,s:s,s:O,s:O*}", "now_ms", (json_int_t)now_ms, "workflow", workflow, "mocks", mocks, "config", values);
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (worker->state == BW_WORKER_LIVE) bw_channel_send_json(worker->channel, BW_MSG_TRIAL, dispatch->trial->begun, NULL, 0);
}

void bw_trial_worker_started(struct bw_run_worker *worker)
{
    struct bw_trial_watch *trial = worker->dispatch->trial;
    if (!trial->begun) return;
    bw_channel_send_json(worker->channel, BW_MSG_TRIAL, trial->begun, NULL, 0);
    send_time(trial, worker);
}

/* Behind whatever was sent and submitted before. */
static void ask(struct bw_trial_watch *trial)
{
    struct bw_dispatch *dispatch = trial->dispatch;
    struct bw_run_worker *worker;
    trial->ask = ++trial->next_ask;
    trial->exchanged = dispatch->exchanged;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (worker->state == BW_WORKER_LIVE) send_time(trial, worker);
    if (trial->is_store_asked) return; /* it answers that first, and then this is asked again */
    trial->is_store_asked = true;
    trial->op = (struct bw_store_op){.kind = BW_OP_WAKE, .done = on_stored, .owner = trial, .now_ms = bw_clock_wall_ms()};
    bw_collecting_fill(dispatch, &trial->collecting, &trial->op);
    bw_store_submit(dispatch->options.store, &trial->op);
}

void bw_dispatch_trial_go_on(struct bw_dispatch *dispatch, int64_t now_ms)
{
    bw_clock_stop_at(now_ms);
    dispatch->trial->is_going = true;
    if (dispatch->wakes) bw_wakes_watch(dispatch->wakes);
    ask(dispatch->trial);
    dispatch->trial->exchanged--; /* what is committed together with this may wake runs, and that is told later: once more when it is quiet */
}

static bool is_quiet(const struct bw_dispatch *dispatch)
{
    return bw_pools_are_empty(dispatch) && !dispatch->is_behind && !dispatch->open_reports && !dispatch->stalled &&
           bw_wakes_are_quiet(dispatch->wakes) && !bw_store_is_waking(dispatch->options.store) && bw_reload_is_idle(dispatch->reload);
}

static int64_t earlier(int64_t one_ms, int64_t other_ms) /* 0 = never */
{
    return one_ms && (!other_ms || one_ms < other_ms) ? one_ms : other_ms;
}

void bw_trial_look(struct bw_dispatch *dispatch)
{
    struct bw_trial_watch *trial = dispatch->trial;
    if (!trial->is_going || trial->ask || trial->is_store_asked || dispatch->is_failed) return;
    if (!is_quiet(dispatch)) {
        if (!bw_store_is_waking(dispatch->options.store)) return; /* what is on its way ends in a mail, and then this is looked at again */
        ask(trial);
        trial->exchanged--; /* and once more when it is quiet */
        return;
    }
    int64_t permits_due_ms = 0;
    if (bw_permits_turn(dispatch->permits, &permits_due_ms) || trial->exchanged != dispatch->exchanged) {
        ask(trial);
        return;
    }
    int64_t due_ms = earlier(earlier(bw_store_next_due(dispatch->options.store), trial->worker_due_ms), permits_due_ms);
    trial->is_going = false;
    dispatch->handlers.quiet(dispatch->handlers.arg, due_ms);
}

void bw_trial_worker_quiet(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_trial_watch *trial = worker->dispatch->trial;
    if (bw_json_int(head, "ask", 0) != trial->ask) return;
    trial->ask = 0;
    trial->worker_due_ms = bw_json_int(head, "due_ms", 0);
    bw_trial_look(worker->dispatch);
}

void bw_trial_store_quiet(struct bw_dispatch *dispatch)
{
    struct bw_trial_watch *trial = dispatch->trial;
    trial->is_store_asked = false;
    bw_collecting_release(&trial->collecting);
    if (trial->op.failed)
        bw_dispatch_fail(dispatch, &trial->op.error);
    else if (trial->op.first_emitted)
        bw_jobs_read_back(dispatch, trial->op.first_emitted);
}
