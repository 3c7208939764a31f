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
    bool has_passed_over = false;
    for (size_t i = 0; i < wakes->dispatch->pool_count; i++) has_passed_over |= wakes->dispatch->pools[i].has_passed_over;
    return wakes->is_behind || has_passed_over;
}

bool bw_wakes_are_quiet(const struct bw_wakes *wakes)
{
    return !bw_wakes_are_behind(wakes) && !wakes->is_firing && !atomic_load(&wakes->is_told);
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
    struct bw_dispatch *dispatch;
    struct bw_queued runs[READ_AT_ONCE];
    struct bw_pool *pools[READ_AT_ONCE];
    size_t count;
};

static bool keep(void *arg, const struct bw_queued *queued)
{
    struct batch *batch = arg;
    batch->pools[batch->count] = bw_pool_of(batch->dispatch, queued->workflow);
    batch->runs[batch->count++] = *queued;
    return true;
}

static const struct batch *read_behind(struct bw_wakes *wakes, int64_t after)
{
    static struct batch batch; /* main thread only */
    struct bw_error err;
    size_t visited = 0;
    batch.dispatch = wakes->dispatch;
    batch.count = 0;
    if (bw_reader_queue(wakes->dispatch->reader, after, READ_AT_ONCE, keep, &batch, &visited, &err)) return &batch;
    bw_log_error(BW_LOG_ERROR, "dispatch.read_queue", &err);
    return NULL; /* the next feed tries again */
}

/* What came last. Runs of a pool that has no room are passed over, so that those behind them need not wait. */
static void read_on(struct bw_wakes *wakes)
{
    const struct batch *batch = read_behind(wakes, wakes->read_to);
    for (size_t i = 0; batch && i < batch->count; i++) {
        struct bw_pool *pool = batch->pools[i];
        if (!pool->has_passed_over && bw_pool_is_full(pool)) {
            pool->has_passed_over = true;
            pool->passed_over_at = wakes->read_to;
        }
        /* In the order of the queue: behind one that was passed over the others wait, too. */
        if (!pool->has_passed_over && !bw_jobs_add_run(wakes->dispatch, &batch->runs[i], pool)) return; /* no memory now: the same one again, later */
        wakes->read_to = batch->runs[i].id;
    }
    if (batch && batch->count < READ_AT_ONCE) wakes->is_behind = false;
}

/* There is room again. What other pools have there is known to them, or passed over as well. */
static void read_again(struct bw_wakes *wakes, struct bw_pool *pool)
{
    const struct batch *batch = read_behind(wakes, pool->passed_over_at);
    for (size_t i = 0; batch && i < batch->count && batch->runs[i].id <= wakes->read_to; i++) {
        if (batch->pools[i] == pool && (bw_pool_is_full(pool) || !bw_jobs_add_run(wakes->dispatch, &batch->runs[i], pool))) return;
        pool->passed_over_at = batch->runs[i].id;
    }
    if (batch && (batch->count < READ_AT_ONCE || pool->passed_over_at >= wakes->read_to || batch->runs[batch->count - 1].id > wakes->read_to))
        pool->has_passed_over = false;
}

void bw_wakes_refill(struct bw_wakes *wakes)
{
    struct bw_dispatch *dispatch = wakes->dispatch;
    bool is_low = false;
    if (dispatch->pool_count > 1 && !dispatch->is_catalog_reported) return; /* nobody knows yet whose they are */
    for (size_t i = 0; i < dispatch->pool_count; i++) {
        struct bw_pool *pool = &dispatch->pools[i];
        is_low |= bw_pool_is_low(pool);
        if (pool->has_passed_over && bw_pool_is_low(pool)) read_again(wakes, pool);
    }
    if (wakes->is_behind && is_low) read_on(wakes);
}

/* What was passed over may be another pool's now. What is known is known: reading it once more changes nothing. */
void bw_wakes_pools_changed(struct bw_wakes *wakes)
{
    for (size_t i = 0; i < wakes->dispatch->pool_count; i++) {
        struct bw_pool *pool = &wakes->dispatch->pools[i];
        if (!pool->has_passed_over) continue;
        pool->has_passed_over = false;
        if (pool->passed_over_at < wakes->read_to) wakes->read_to = pool->passed_over_at;
        wakes->is_behind = true;
    }
}
