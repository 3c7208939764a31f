/* The Lua states of workflows, each of one workflow only. One is made when it is needed, kept for the next run of its workflow, and given back to the
 * system when nobody has needed it for a while: thousands of workflows are loaded, and few of them are busy. */
#include "base/clock.h"
#include "worker/internal.h"
#include <malloc.h>
#include <stdlib.h>

#define TRIMMED_BYTES (4u << 20) /* what a state has had of the system goes back to it at once */

struct bw_idle_script {
    TAILQ_ENTRY(bw_idle_script) link; /* in worker->idle_scripts: the longest unused first */
    struct bw_idle_script *below;     /* in entry->idle, the last returned on top: what runs often needs few of them */
    struct bw_catalog_workflow *entry;
    struct bw_script *script;
    int64_t since_us;
};

static void take_off(struct bw_worker *worker, struct bw_idle_script *idle)
{
    struct bw_idle_script **at = &idle->entry->idle;
    while (*at != idle) at = &(*at)->below;
    *at = idle->below;
    idle->entry->idle_count--;
    TAILQ_REMOVE(&worker->idle_scripts, idle, link);
}

static void drop(struct bw_worker *worker, struct bw_idle_script *idle)
{
    take_off(worker, idle);
    bw_script_free(idle->script);
    free(idle);
}

void bw_scripts_drop(struct bw_worker *worker, struct bw_catalog_workflow *entry)
{
    while (entry->idle) drop(worker, entry->idle);
}

struct bw_script *bw_scripts_take(struct bw_worker *worker, struct bw_catalog_workflow *entry, struct bw_error *err)
{
    struct bw_errors errs = {0};
    struct bw_idle_script *idle = entry->idle;
    struct bw_script *script = idle ? idle->script : bw_script_new(entry->workflow, entry->own_actions, &worker->limits, &errs);
    if (idle) take_off(worker, idle);
    free(idle);
    if (!script) *err = errs.items[0];
    bw_errors_free(&errs);
    return script;
}

void bw_scripts_sweep_later(struct bw_worker *worker)
{
    static const struct timeval period = {.tv_sec = BW_SCRIPT_IDLE_MS / 2000};
    if (worker->sweep_event && !evtimer_pending(worker->sweep_event, NULL)) evtimer_add(worker->sweep_event, &period);
}

void bw_scripts_return(struct bw_worker *worker, struct bw_catalog_workflow *entry, struct bw_script *script)
{
    if (!script) return;
    bw_script_end_run(script);
    bool is_kept = !bw_script_is_spent(script) && entry->idle_count < BW_SCRIPTS_IDLE_MAX;
    struct bw_idle_script *idle = is_kept ? malloc(sizeof *idle) : NULL;
    if (!idle) {
        bool was_large = bw_script_memory(script) >= TRIMMED_BYTES;
        bw_script_free(script);
        if (was_large) malloc_trim(0);
        return;
    }
    *idle = (struct bw_idle_script){.below = entry->idle, .entry = entry, .script = script, .since_us = bw_clock_mono_us()};
    entry->idle = idle;
    entry->idle_count++;
    TAILQ_INSERT_TAIL(&worker->idle_scripts, idle, link);
    bw_scripts_sweep_later(worker);
}

void bw_scripts_sweep(struct bw_worker *worker, int64_t now_us)
{
    struct bw_idle_script *idle;
    bool has_dropped = false;
    while ((idle = TAILQ_FIRST(&worker->idle_scripts)) && now_us - idle->since_us >= BW_SCRIPT_IDLE_MS * 1000LL) {
        drop(worker, idle);
        has_dropped = true;
    }
    bool has_idle = bw_shared_scripts_sweep(worker, now_us, &has_dropped);
    if (has_dropped) malloc_trim(0); /* a state is many small pieces: what is free lies between what is not */
    if (idle || has_idle) bw_scripts_sweep_later(worker);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    bw_scripts_sweep(arg, bw_clock_mono_us());
}

bool bw_scripts_open(struct bw_worker *worker)
{
    TAILQ_INIT(&worker->idle_scripts);
    TAILQ_INIT(&worker->shared_scripts);
    return (worker->sweep_event = evtimer_new(worker->base, on_sweep, worker)) != NULL;
}
