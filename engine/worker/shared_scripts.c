/* The Lua states that the code of bundled plugins runs in: many attempts at once in each, of whatever runs. What is compiled of a plugin is several
 * times what one of its attempts needs while it waits, and thousands wait for models at once. Only bundled code is let in: attempts in one state
 * share its memory, and one that fills it takes it from the others. A state that holds much has no room for more. */
#include "base/clock.h"
#include "worker/internal.h"
#include <stdlib.h>

struct bw_shared_script {
    TAILQ_ENTRY(bw_shared_script) link; /* in worker->shared_scripts: those with room in front */
    struct bw_worker *worker;
    const struct bw_package *package;
    struct bw_script *script;
    size_t tasks;
    int64_t since_us; /* nobody has used it */
};

static bool has_room(const struct bw_shared_script *shared)
{
    return shared->tasks < BW_SHARED_SCRIPT_TASKS && !bw_script_is_spent(shared->script);
}

static struct bw_shared_script *find(struct bw_worker *worker, const struct bw_package *package)
{
    struct bw_shared_script *shared;
    TAILQ_FOREACH(shared, &worker->shared_scripts, link)
    if (shared->package == package && has_room(shared)) return shared;
    return NULL;
}

static void end(struct bw_shared_script *shared)
{
    TAILQ_REMOVE(&shared->worker->shared_scripts, shared, link);
    bw_script_free(shared->script);
    free(shared);
}

struct bw_shared_script *bw_shared_script_join(struct bw_worker *worker, const struct bw_package *package, struct bw_error *err)
{
    struct bw_shared_script *shared = find(worker, package);
    if (!shared) {
        if (!(shared = calloc(1, sizeof *shared))) exit(70);
        *shared = (struct bw_shared_script){.worker = worker, .package = package, .script = bw_script_new_shared(&worker->limits, err)};
        if (!shared->script) {
            free(shared);
            return NULL;
        }
        TAILQ_INSERT_HEAD(&worker->shared_scripts, shared, link);
    }
    if (++shared->tasks == BW_SHARED_SCRIPT_TASKS) {
        TAILQ_REMOVE(&worker->shared_scripts, shared, link);
        TAILQ_INSERT_TAIL(&worker->shared_scripts, shared, link);
    }
    return shared;
}

struct bw_script *bw_shared_script_state(const struct bw_shared_script *shared)
{
    return shared->script;
}

void bw_shared_script_leave(struct bw_shared_script *shared)
{
    if (!shared) return;
    if (shared->tasks-- == BW_SHARED_SCRIPT_TASKS) {
        TAILQ_REMOVE(&shared->worker->shared_scripts, shared, link);
        TAILQ_INSERT_HEAD(&shared->worker->shared_scripts, shared, link);
    }
    shared->since_us = bw_clock_mono_us();
    if (shared->tasks) return;
    if (bw_script_is_spent(shared->script))
        end(shared);
    else
        bw_scripts_sweep_later(shared->worker);
}

void bw_shared_scripts_drop(struct bw_worker *worker, const struct bw_package *package)
{
    struct bw_shared_script *shared, *next;
    for (shared = TAILQ_FIRST(&worker->shared_scripts); shared; shared = next) {
        next = TAILQ_NEXT(shared, link);
        if (shared->package == package) end(shared);
    }
}

bool bw_shared_scripts_sweep(struct bw_worker *worker, int64_t now_us, bool *has_dropped)
{
    struct bw_shared_script *shared, *next;
    bool has_idle = false;
    for (shared = TAILQ_FIRST(&worker->shared_scripts); shared; shared = next) {
        next = TAILQ_NEXT(shared, link);
        if (shared->tasks) continue;
        if (now_us - shared->since_us >= BW_SCRIPT_IDLE_MS * 1000LL) {
            end(shared);
            *has_dropped = true;
        } else {
            has_idle = true;
        }
    }
    return has_idle;
}
