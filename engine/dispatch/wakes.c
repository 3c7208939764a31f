/* Runs that were parked and are woken: timers are fired when they are due, and what the store has put into its queue becomes jobs. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/collecting.h"
#include "dispatch/internal.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define READ_AT_ONCE 256

struct wake_op {
    struct bw_store_op op;
    struct bw_mail mail;
};
struct bw_wakes {
    struct bw_dispatch *dispatch;
    struct bw_mail told; /* by the store; in the mailbox while is_told */
    _Atomic bool is_told;
    struct wake_op firing;           /* in the store while is_firing */
    struct bw_collecting collecting; /* borrowed by `firing` */
    bool is_firing;
    int64_t next_due_ms;   /* 0 = no timer */
    struct event *due;     /* fires then, when it is soon: the watch is too coarse for runs of which many begin in a second */
    int64_t not_before_us; /* after a full disk */
    bool is_stopped;
    bool is_behind; /* there may be runs in the store's queue behind read_to */
    int64_t read_to;
};

static void on_wake(void *arg, const struct bw_store_wakes *wakes)
{
    struct bw_wakes *mine = arg; /* writer thread */
    bw_cancel_on_tell(mine->dispatch, wakes);
    if (!wakes->woken && wakes->watched_count) return; /* ahead of its commit's done(): no more than that */
    if (!atomic_exchange(&mine->is_told, true)) bw_mailbox_post(mine->dispatch->mailbox, &mine->told);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    bw_wakes_watch(arg);
}

struct bw_wakes *bw_wakes_new(struct bw_dispatch *dispatch)
{
    struct bw_wakes *wakes = calloc(1, sizeof *wakes);
    if (!wakes) return NULL;
    wakes->dispatch = dispatch;
    wakes->told.kind = BW_MAIL_WAKES;
    if (!(wakes->due = evtimer_new(dispatch->base, on_due, wakes))) {
        free(wakes);
        return NULL;
    }
    wakes->is_behind = true; /* what an earlier process left */
    bw_store_on_wake(dispatch->options.store, on_wake, wakes);
    wakes->next_due_ms = bw_store_next_due(dispatch->options.store);
    return wakes;
}

void bw_wakes_stop(struct bw_wakes *wakes)
{
    if (wakes->is_stopped) return; /* the store may be closed by now */
    wakes->is_stopped = true;
    bw_store_on_wake(wakes->dispatch->options.store, NULL, NULL);
}

void bw_wakes_free(struct bw_wakes *wakes)
{
    if (wakes) event_free(wakes->due);
    if (wakes) bw_collecting_release(&wakes->collecting);
    free(wakes);
}

bool bw_wakes_are_behind(const struct bw_wakes *wakes)
{
    return wakes->is_behind;
}

bool bw_wakes_are_quiet(const struct bw_wakes *wakes)
{
    return !wakes->is_behind && !wakes->is_firing && !atomic_load(&wakes->is_told);
}

/* ---- timers ---- */

static void on_fired(struct bw_store_op *op)
{
    struct bw_wakes *wakes = op->owner; /* writer thread */
    bw_mailbox_post(wakes->dispatch->mailbox, &wakes->firing.mail);
}

void bw_wakes_watch(struct bw_wakes *wakes)
{
    int64_t now_ms = bw_clock_wall_ms(), left_ms = wakes->next_due_ms - now_ms;
    const struct timeval left = {.tv_usec = left_ms * 1000};
    if (wakes->next_due_ms && left_ms > 0 && left_ms < BW_WATCHDOG_MS) evtimer_add(wakes->due, &left);
    if (wakes->is_firing || !wakes->next_due_ms || wakes->next_due_ms > now_ms || bw_clock_mono_us() < wakes->not_before_us ||
        wakes->dispatch->is_draining || wakes->dispatch->is_failed)
        return;
    wakes->firing.op = (struct bw_store_op){.kind = BW_OP_WAKE, .done = on_fired, .owner = wakes, .now_ms = now_ms};
    if (!bw_collecting_fill(wakes->dispatch, &wakes->collecting, &wakes->firing.op)) return; /* the watch tries again */
    wakes->is_firing = true;
    wakes->firing.mail.kind = BW_MAIL_FIRED;
    bw_store_submit(wakes->dispatch->options.store, &wakes->firing.op);
}

void bw_wakes_fired(struct bw_wakes *wakes)
{
    const struct bw_store_op *op = &wakes->firing.op;
    wakes->is_firing = false;
    bw_collecting_release(&wakes->collecting);
    if (op->failed) {
        if (strcmp(op->error.code, "store.full") != 0) {
            bw_dispatch_fail(wakes->dispatch, &op->error);
            return;
        }
        bw_log_error(BW_LOG_ERROR, "dispatch.disk_full", &op->error);
        wakes->not_before_us = bw_clock_mono_us() + 500000;
        return;
    }
    if (op->first_emitted) bw_jobs_read_back(wakes->dispatch, op->first_emitted);
    struct bw_error err;
    if (op->has_resumed && !wakes->is_stopped && !bw_pauses_changed(wakes->dispatch, &err)) {
        bw_dispatch_fail(wakes->dispatch, &err);
        return;
    }
    wakes->next_due_ms = bw_store_next_due(wakes->dispatch->options.store);
    bw_wakes_watch(wakes); /* more may be due */
}

/* ---- the store's queue ---- */

void bw_wakes_told(struct bw_wakes *wakes)
{
    if (wakes->is_stopped) return;        /* said before that, delivered after the store was closed */
    atomic_store(&wakes->is_told, false); /* first: what comes from here on is told anew */
    wakes->next_due_ms = bw_store_next_due(wakes->dispatch->options.store);
    wakes->is_behind = true;
    bw_wakes_watch(wakes);
    bw_jobs_feed_soon(wakes->dispatch);
}

struct batch {
    struct bw_queued runs[READ_AT_ONCE];
    size_t count;
};

static bool keep(void *arg, const struct bw_queued *queued)
{
    struct batch *batch = arg;
    batch->runs[batch->count++] = *queued;
    return true;
}

void bw_wakes_refill(struct bw_wakes *wakes)
{
    static struct batch batch; /* main thread only */
    struct bw_error err;
    size_t visited = 0;
    if (!wakes->is_behind) return;
    batch.count = 0;
    if (!bw_reader_queue(wakes->dispatch->reader, wakes->read_to, READ_AT_ONCE, keep, &batch, &visited, &err)) {
        bw_log_error(BW_LOG_ERROR, "dispatch.read_queue", &err);
        return; /* the next feed tries again */
    }
    for (size_t i = 0; i < batch.count; i++) {
        if (!bw_jobs_add_run(wakes->dispatch, &batch.runs[i])) return; /* no memory now: the same one again, later */
        wakes->read_to = batch.runs[i].id;
    }
    if (batch.count < READ_AT_ONCE) wakes->is_behind = false;
}
