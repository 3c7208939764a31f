/* A step that is under way: what it holds while it waits, and how it lets go of it. */
#include "base/clock.h"
#include "base/crash_point.h"
#include "worker/internal.h"
#include <stdlib.h>

/* Code that does not give way ends 250 ms after its timeout at the latest: the engine looks every 50 ms, and waits until the worker has had the
 * processor for 90 ms of those that it is late. */
#define OVER_US 100000

void bw_note_enter(const struct bw_worker_event *event, struct bw_uid run, struct bw_slice path, int64_t deadline_us)
{
    int64_t now = bw_clock_mono_us(), deadline = now + event->worker->stall_ms * 1000;
    if (deadline_us && deadline_us + OVER_US < deadline) deadline = deadline_us + OVER_US;
    if (deadline < now + 50000) deadline = now + 50000; /* the watch of the engine is not finer */
    deadline -= bw_clock_skip_us(0);                    /* the engine has skipped nothing */
    bw_flight_enter(event->worker->flight, event->job, run, path, event->catalog->revision, deadline);
    BW_CRASH_STEP(event->worker->flight->path, "");
}

void bw_note_enter_step(const struct bw_run *run, size_t step, int64_t deadline_us)
{
    bw_note_enter(run->event, run->uid, run->entry->workflow->steps[step].path, deadline_us);
}

void bw_note_leave(struct bw_worker *worker)
{
    bw_flight_leave(worker->flight);
    BW_CRASH_STEP(worker->flight->path, "~");
}

struct bw_attempt *bw_attempt_new(struct bw_run *run, size_t step)
{
    struct bw_attempt *attempt = calloc(1, sizeof *attempt);
    if (!attempt) exit(70);
    attempt->run = run;
    attempt->step = step;
    TAILQ_INSERT_TAIL(&run->attempts, attempt, sibling);
    run->attempt_count++;
    run->results[step].is_under_way = true;
    return attempt;
}

void bw_attempt_free(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    bw_attempt_release(attempt);
    bw_timer_free(attempt->timer);
    bw_timer_free(attempt->beat_timer);
    bw_buf_free(&attempt->input);
    bw_buf_free(&attempt->limit_key);
    TAILQ_REMOVE(&run->attempts, attempt, sibling);
    run->attempt_count--;
    run->results[attempt->step].is_under_way = false;
    free(attempt);
}

void bw_attempt_release(struct bw_attempt *attempt)
{
    struct bw_worker *worker = bw_attempt_worker(attempt);
    if (attempt->wait == BW_WAIT_PLUGIN) {
        bw_step_cancel_call(attempt, attempt->is_unwanted ? BW_GIVE_UP_MS : BW_LATE_CALL_MS, false);
        bw_step_called_no_more(attempt);
    }
    if (attempt->wait == BW_WAIT_SLICE) TAILQ_REMOVE(&worker->ready, attempt, link);
    if (attempt->wait == BW_WAIT_COMMIT || attempt->wait == BW_WAIT_KEPT) TAILQ_REMOVE(&worker->unacknowledged, attempt, link);
    if (attempt->wait == BW_WAIT_DURABLE) attempt->run->waiting_count--;
    if (attempt->wait == BW_WAIT_USAGE) bw_meter_forget(attempt);
    if (attempt->wait == BW_WAIT_CACHE) bw_cache_leave(attempt);
    bw_cache_release(attempt);
    attempt->wait = BW_WAIT_NONE;
    if (attempt->http_call) bw_http_abort(attempt->http_call);
    attempt->http_call = NULL;
    if (attempt->stream) bw_http_abort(attempt->stream);
    attempt->stream = NULL;
    bw_inner_free(attempt);
    attempt->kept = NULL;
    bw_step_free_task(attempt->run, &attempt->task, &attempt->shared);
    bw_meter_move(&attempt->calls, &bw_attempt_result(attempt)->calls);
    bw_timer_stop(attempt->timer);
    bw_timer_stop(attempt->beat_timer);
    if (attempt->permit) bw_permit_release(attempt, 0);
}

void bw_attempt_ready(struct bw_attempt *attempt)
{
    struct bw_worker *worker = bw_attempt_worker(attempt);
    attempt->wait = BW_WAIT_SLICE;
    if (TAILQ_EMPTY(&worker->ready))
        event_add(worker->ready_event, &(struct timeval){0}); /* a timer, not an activation: the sockets get their turn in between */
    TAILQ_INSERT_TAIL(&worker->ready, attempt, link);
}

int64_t bw_attempt_clock_ms(const struct bw_attempt *attempt)
{
    return bw_attempt_worker(attempt)->trial ? bw_clock_wall_ms() : bw_clock_mono_us() / 1000;
}

int64_t bw_attempt_left_ms(const struct bw_attempt *attempt)
{
    return (bw_attempt_worker(attempt)->trial ? attempt->deadline_ms : attempt->deadline_us / 1000) - bw_attempt_clock_ms(attempt);
}

bool bw_attempt_set_timer(struct bw_attempt *attempt, event_callback_fn callback, int64_t delay_ms)
{
    bw_timer_free(attempt->timer);
    attempt->timer = bw_timer_new(bw_attempt_worker(attempt), callback, attempt);
    return attempt->timer && bw_timer_set(attempt->timer, delay_ms);
}
