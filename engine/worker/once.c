/* `guarantee: at_most_once`: each attempt is on disk as `started` before its call is made. What is found like that has a worker that died: nobody
 * knows what it has done, so the step ends as `unknown` and is never called again by itself. The same goes for an attempt that ends without a clear
 * answer: it is tried again only if it is known that nothing has happened. */
#include "base/clock.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>

void bw_once_record(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    struct bw_worker *worker = bw_attempt_worker(attempt);
    struct bw_step_result *result = bw_attempt_result(attempt);
    result->state = BW_STATE_STARTED;
    result->due_ms = result->ended_ms = 0;
    result->is_reported = false;
    bw_buf_clear(&result->error); /* of the attempt before */
    /* What it depends on is part of this report, or of one before it: one commit is enough for both. */
    attempt->report = run->asked_report = bw_report_run(run, true);
    attempt->is_recorded = true;
    attempt->is_called = attempt->is_exposed = attempt->is_doubtful = false;
    attempt->wait = BW_WAIT_COMMIT;
    TAILQ_INSERT_TAIL(&worker->unacknowledged, attempt, link);
}

bool bw_once_is_unknown(const struct bw_attempt *attempt, enum bw_error_class class)
{
    if (!bw_attempt_step(attempt)->is_once || !attempt->is_called) return false;
    switch (class) {
    case BW_CLASS_TRANSIENT:
    case BW_CLASS_PERMANENT: return attempt->is_doubtful; /* who was called says so itself */
    case BW_CLASS_TIMEOUT: return true;
    default: return attempt->is_doubtful || attempt->is_exposed; /* a fault behind the call */
    }
}

static void describe(const struct bw_run *run, size_t step, struct bw_error *err)
{
    bw_error_hint(err, "look there, then: bellwire runs resolve %s --step %s --succeeded | --failed | --retry", run->uid_text,
                  run->entry->workflow->steps[step].path.ptr);
}

void bw_once_make_unknown(struct bw_run *run, size_t step, const char *what, const struct bw_error *why)
{
    struct bw_step_result *result = &run->results[step];
    struct bw_slice path = run->entry->workflow->steps[step].path;
    struct bw_error err, ignored;
    if (why)
        bw_error_set(&err, "step.unknown", "%s, so nobody knows whether the step has had its effect: %s [%s]", what, why->message, why->code);
    else
        bw_error_set(&err, "step.unknown", "%s, so nobody knows whether the step has had its effect", what);
    describe(run, step, &err);
    bw_buf_clear(&result->output);
    bw_buf_clear(&result->error);
    bw_error_to_json(&result->error, &err, BW_CLASS_LOST, path);
    bw_script_set_step(bw_run_script(run), step, BW_STATUS_UNKNOWN, (struct bw_slice){0}, bw_buf_slice(&result->error), &ignored);
}

void bw_once_restore(struct bw_run *run, size_t step)
{
    struct bw_step_result *result = &run->results[step];
    bw_once_make_unknown(run, step, "its worker process ended while the step was under way", NULL);
    result->state = BW_STATE_UNKNOWN;
    result->ended_ms = bw_clock_wall_ms();
    bw_trace_step(run, step, "step_finished", 0);
}
