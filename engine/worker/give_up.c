/* A step that is not wanted any more: its run is cancelled, or a step beside it has failed and the workflow says `fail_fast`. Code that executes is
 * told, and has a time to end by itself, because what it has done already is worth knowing: a result that still comes is recorded, and `undo` takes
 * back what it says. */
#include "worker/internal.h"

static void on_grace_over(evutil_socket_t fd, short what, void *arg)
{
    struct bw_attempt *attempt = arg;
    struct bw_run *run = attempt->run;
    (void)fd, (void)what;
    bw_step_cancel(attempt);
    bw_run_advance(run);
}

void bw_step_give_up(struct bw_attempt *attempt)
{
    if (attempt->is_unwanted) return;
    if (!attempt->task && attempt->wait != BW_WAIT_PLUGIN) {
        bw_step_cancel(attempt);
        return;
    }
    int64_t left_ms = bw_attempt_left_ms(attempt);
    attempt->is_unwanted = true;
    bw_timer_stop(attempt->beat_timer);
    bw_attempt_set_timer(attempt, on_grace_over, left_ms < BW_GIVE_UP_MS ? left_ms : BW_GIVE_UP_MS);
    if (attempt->task && attempt->wait != BW_WAIT_PLUGIN)
        bw_step_break_off(attempt);
    else
        bw_step_cancel_call(attempt, BW_GIVE_UP_MS, true);
}
