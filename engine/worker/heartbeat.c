/* `heartbeat`: code that works long says now and then that it is alive; what has not done so in time fails its attempt, long before its `timeout`.
 * A beat only notes the time. The timer looks at that note when it is due, and is set anew for what is left. */
#include "base/units.h"
#include "worker/internal.h"
#include <stdlib.h>

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    struct bw_attempt *attempt = arg;
    struct bw_error err;
    char text[32];
    int64_t left_ms = attempt->beat_ms + attempt->heartbeat_ms - bw_attempt_clock_ms(attempt);
    (void)fd, (void)what;
    if (left_ms > 0 && bw_timer_set(attempt->beat_timer, left_ms)) return;
    bw_error_set(&err, "step.heartbeat", "the step's code has not beaten for %s", bw_duration_text(attempt->heartbeat_ms, text));
    bw_error_hint(&err, "let it call ctx.heartbeat() (in a plugin: host->heartbeat) more often, or give the step a longer `heartbeat`");
    bw_step_fail(attempt, &err, BW_CLASS_TIMEOUT, -1);
}

void bw_heartbeat_start(struct bw_attempt *attempt, int64_t every_ms)
{
    attempt->heartbeat_ms = every_ms;
    if (!every_ms) return;
    bw_heartbeat_note(attempt);
    if (!attempt->beat_timer) attempt->beat_timer = bw_timer_new(bw_attempt_worker(attempt), on_due, attempt);
    if (!attempt->beat_timer || !bw_timer_set(attempt->beat_timer, every_ms)) exit(70); /* no memory: another worker goes on */
}

void bw_heartbeat_note(struct bw_attempt *attempt)
{
    attempt->beat_ms = bw_attempt_clock_ms(attempt);
}

void bw_heartbeat_take(struct bw_worker *worker, int64_t call)
{
    struct bw_attempt *attempt = bw_step_called(worker, call);
    if (attempt) bw_heartbeat_note(attempt);
}
