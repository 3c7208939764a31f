/* Timers of runs and attempts: those of the event loop, or in a trial those of the test's own time. */
#include "base/clock.h"
#include "worker/internal.h"
#include <stdlib.h>

struct bw_timer {
    TAILQ_ENTRY(bw_timer) link; /* in worker->timers while is_listed */
    struct bw_worker *worker;
    struct event *event; /* NULL in a trial */
    event_callback_fn callback;
    void *arg;
    int64_t due_ms;
    bool is_listed;
};

struct bw_timer *bw_timer_new(struct bw_worker *worker, event_callback_fn callback, void *arg)
{
    struct bw_timer *timer = calloc(1, sizeof *timer);
    if (!timer) return NULL;
    *timer = (struct bw_timer){.worker = worker, .callback = callback, .arg = arg};
    if (worker->trial || (timer->event = event_new(worker->base, -1, 0, callback, arg))) return timer;
    free(timer);
    return NULL;
}

bool bw_timer_set(struct bw_timer *timer, int64_t delay_ms)
{
    if (delay_ms < 0) delay_ms = 0;
    if (timer->event) return !event_add(timer->event, &(struct timeval){.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000});
    bw_timer_stop(timer);
    timer->due_ms = bw_clock_wall_ms() + delay_ms;
    timer->is_listed = true;
    TAILQ_INSERT_TAIL(&timer->worker->timers, timer, link);
    return true;
}

void bw_timer_stop(struct bw_timer *timer)
{
    if (!timer) return;
    if (timer->event) event_del(timer->event);
    if (timer->is_listed) TAILQ_REMOVE(&timer->worker->timers, timer, link);
    timer->is_listed = false;
}

void bw_timer_free(struct bw_timer *timer)
{
    if (!timer) return;
    bw_timer_stop(timer);
    if (timer->event) event_free(timer->event);
    free(timer);
}

/* Of two that are due at one time the one that was set first. */
static struct bw_timer *earliest(const struct bw_worker *worker)
{
    struct bw_timer *timer, *first = NULL;
    TAILQ_FOREACH(timer, &worker->timers, link) if (!first || timer->due_ms < first->due_ms) first = timer;
    return first;
}

int64_t bw_timers_next_ms(const struct bw_worker *worker)
{
    const struct bw_timer *timer = earliest(worker);
    return timer ? timer->due_ms : 0;
}

void bw_timers_fire(struct bw_worker *worker)
{
    struct bw_timer *timer;
    while ((timer = earliest(worker)) && timer->due_ms <= bw_clock_wall_ms()) {
        bw_timer_stop(timer);
        timer->callback(-1, EV_TIMEOUT, timer->arg); /* it may free this timer, and others */
    }
}
