/* Suspects: what may have ended a worker is executed where it can take nobody else with it.
 *
 * The flight page names the step that a worker was executing when it died: its job is a suspect and runs alone from then on, in a process of its own.
 * A worker that dies between steps has no such note (somebody has killed it, or the kernel has, for memory that many steps hold while they wait).
 * That counts against nobody at first. What was in hand at three such deaths is a suspect, too, of a lower rank: it runs in ever smaller company, so
 * that in the end the one that does it is alone, and that one's runs fail after six more deaths. Whoever does not do it gets on meanwhile. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include <string.h>

#define DEATHS_MAX 3               /* without a note, until what was in hand is suspected */
#define ALONE_MAX 5                /* semantics.md 2.4 */
#define CONDEMNED_MAX 8            /* deaths alone, until not even the failing of its runs is tried */
#define REST_US 1000000LL          /* a process that ends before it can be given anything is not started in a loop */
#define DISMISS_AFTER_US 5000000LL /* so long nobody was suspected: the process is not needed */

static bool are_used(const struct bw_dispatch *dispatch)
{
    return !dispatch->options.trial; /* a test has one worker, whose time it is that stands still */
}

void bw_suspects_add(struct bw_dispatch *dispatch, struct bw_job *job)
{
    if (job->is_suspect || !are_used(dispatch)) return;
    job->is_suspect = true;
    job->is_holding = job->number > 0;
    dispatch->holding += job->is_holding;
}

void bw_suspects_unexplained(struct bw_dispatch *dispatch, struct bw_job *job, bool was_alone)
{
    job->deaths++;
    job->alone += was_alone && job->is_suspect; /* before that it was by chance */
    if (job->deaths >= DEATHS_MAX) bw_suspects_add(dispatch, job);
}

void bw_suspects_admitted(struct bw_dispatch *dispatch, struct bw_job *job)
{
    dispatch->holding -= job->is_holding;
    job->is_holding = false;
}

bool bw_suspects_hold_events(const struct bw_dispatch *dispatch)
{
    return dispatch->holding > 0 && (dispatch->is_ordered || !dispatch->is_catalog_reported);
}

/* How many may be in hand together with this one, itself included. */
static size_t company_of(const struct bw_job *job)
{
    static const size_t by_deaths[] = {64, 8};
    if (job->lost || job->alone || job->deaths < DEATHS_MAX) return 1;
    size_t more = job->deaths - DEATHS_MAX;
    return more < sizeof by_deaths / sizeof *by_deaths ? by_deaths[more] : 1;
}

struct bw_run_worker *bw_suspects_pick(struct bw_dispatch *dispatch, const struct bw_job *job)
{
    struct bw_run_worker *worker = dispatch->suspect_worker;
    size_t company = company_of(job);
    struct bw_error err;
    int64_t now = bw_clock_mono_us();
    dispatch->suspects_seen_us = now;
    if (!worker) {
        if (now >= dispatch->suspects_not_before_us && !(dispatch->suspect_worker = bw_worker_start(dispatch, dispatch->worker_count + 1, &err)))
            bw_dispatch_fail(dispatch, &err);
        return NULL;
    }
    if (worker->state != BW_WORKER_LIVE) return NULL;
    if (worker->in_hand && worker->company < company) company = worker->company;
    if (worker->in_hand >= company) return NULL;
    worker->company = company;
    return worker;
}

void bw_suspects_worker_ended(struct bw_dispatch *dispatch, bool was_idle)
{
    dispatch->suspect_worker = NULL;
    if (was_idle) dispatch->suspects_not_before_us = bw_clock_mono_us() + REST_US;
    bw_jobs_feed_soon(dispatch);
}

void bw_suspects_watch(struct bw_dispatch *dispatch)
{
    struct bw_run_worker *worker = dispatch->suspect_worker;
    int64_t now = bw_clock_mono_us();
    if (!worker || worker->is_dismissed) return;
    if (worker->in_hand || !TAILQ_EMPTY(&dispatch->suspects)) dispatch->suspects_seen_us = now;
    if (now - dispatch->suspects_seen_us < DISMISS_AFTER_US) return;
    worker->is_dismissed = true;
    worker->state = BW_WORKER_KILLED;
    bw_process_kill(worker->process);
}

void bw_suspects_progress(struct bw_job *job, const json_t *runs)
{
    size_t i, k, m;
    json_t *run, *step, *entry;
    if (json_array_size(runs)) job->deaths = job->alone = 0;
    if (!job->lost) return;
    json_array_foreach(runs, i, run) json_array_foreach(json_object_get(run, "steps"), k, step)
    {
        for (m = 0; (entry = json_array_get(job->lost, m));) {
            if (!strcmp(bw_json_str(entry, "run", ""), bw_json_str(run, "uid", "-")) &&
                !strcmp(bw_json_str(entry, "path", ""), bw_json_str(step, "path", "-")))
                json_array_remove(job->lost, m);
            else
                m++;
        }
    }
}

bool bw_job_is_condemned(const struct bw_job *job)
{
    return job->alone > ALONE_MAX;
}

bool bw_job_is_given_up(const struct bw_job *job)
{
    return job->alone > CONDEMNED_MAX;
}
