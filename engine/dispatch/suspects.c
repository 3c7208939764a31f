/* Suspects: what may have ended a worker is executed where it can take nobody else with it.
 *
 * The flight page names the step that a worker was executing when it died: its job is a suspect and runs alone from then on, in a process of its own.
 * So is what was executing when an earlier engine died, by its own fault or not (losses.h).
 * A worker that dies between steps has no such note (somebody has killed it, or the kernel has, for memory that many steps hold while they wait).
 * That counts against nobody at first. What was in hand at three such deaths is a suspect, too, of a lower rank: it runs in ever smaller company, so
 * that in the end the one that does it is alone, and that one's runs fail after six more deaths. Whoever does not do it gets on meanwhile.
 *
 * Where runs begin in the order of their events, a suspect that was not looked at keeps its place in the queue of its pool (order.h). */
#include "base/clock.h"
#include "base/file.h"
#include "dispatch/internal.h"
#include <stdlib.h>

#define DEATHS_MAX 3               /* without a note, until what was in hand is suspected */
#define ALONE_MAX 5                /* semantics.md 2.4 */
#define CONDEMNED_MAX 8            /* deaths alone, until not even the failing of its runs is tried */
#define REST_US 1000000LL          /* a process that ends before it can be given anything is not started in a loop */
#define DISMISS_AFTER_US 5000000LL /* so long nobody was suspected: the process is not needed */

static bool are_used(const struct bw_dispatch *dispatch)
{
    return !dispatch->options.trial; /* a test has one worker, whose time it is that stands still */
}

bool bw_suspects_open(struct bw_dispatch *dispatch)
{
    const struct bw_dispatch_options *options = &dispatch->options;
    char *folder = options->keeps_flight ? bw_file_join(options->store_folder, BW_FLIGHT_FOLDER) : NULL;
    bool good = !options->keeps_flight || folder;
    if (good) good = (dispatch->losses = bw_losses_open(folder)) != NULL;
    if (good && folder) bw_losses_keep_live(dispatch->losses, dispatch->reader);
    free(folder);
    return good;
}

static void suspect(struct bw_dispatch *dispatch, struct bw_job *job)
{
    if (are_used(dispatch)) job->is_suspect = true;
}

void bw_suspects_unexplained(struct bw_dispatch *dispatch, struct bw_job *job, bool was_alone)
{
    job->deaths++;
    job->alone += was_alone && job->is_suspect; /* before that it was by chance */
    if (job->deaths >= DEATHS_MAX) suspect(dispatch, job);
}

void bw_suspects_blame(struct bw_dispatch *dispatch, struct bw_job *job, const struct bw_flight_note *note)
{
    bw_losses_add(dispatch->losses, note);
    job->has_losses = true;
    suspect(dispatch, job);
}

void bw_suspects_recall(struct bw_dispatch *dispatch, struct bw_job *job)
{
    if (!bw_losses_are_of(dispatch->losses, job->number, job->run)) return;
    job->has_losses = true;
    suspect(dispatch, job);
}

void bw_suspects_forget(struct bw_dispatch *dispatch, struct bw_job *job)
{
    if (job->has_losses) bw_losses_forget(dispatch->losses, job->number, NULL, NULL);
}

/* How many may be in hand together with this one, itself included. */
static size_t company_of(const struct bw_job *job)
{
    static const size_t by_deaths[] = {64, 8};
    if (job->has_losses || job->alone || job->deaths < DEATHS_MAX) return 1;
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

void bw_suspects_progress(struct bw_dispatch *dispatch, struct bw_job *job, const json_t *runs)
{
    size_t i, k;
    json_t *run, *step;
    if (json_array_size(runs)) job->deaths = job->alone = 0;
    if (!job->has_losses) return;
    json_array_foreach(runs, i, run) json_array_foreach(json_object_get(run, "steps"), k, step)
        bw_losses_forget(dispatch->losses, job->number, bw_json_str(run, "uid", "-"), bw_json_str(step, "path", "-"));
}

bool bw_job_is_condemned(const struct bw_job *job)
{
    return job->alone > ALONE_MAX;
}

bool bw_job_is_given_up(const struct bw_job *job)
{
    return job->alone > CONDEMNED_MAX;
}
