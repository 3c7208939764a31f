/* When a run has a Lua state. It is given one when something is to be evaluated, and keeps it while code of its steps executes or waits in there.
 * When all that it waits for is somewhere else, the state goes to the next run at the end of the turn: thousands of runs wait at once for models, for
 * plugins and for their next attempts, and few are evaluated. */
#include "worker/internal.h"
#include <stdlib.h>

static void forget(struct bw_run *run)
{
    struct bw_worker *worker = run->event->worker;
    if (!run->is_with_script) return;
    TAILQ_REMOVE(&worker->with_script, run, script_link);
    worker->with_script_count--;
    run->is_with_script = false;
}

static void suspend_first(struct bw_worker *worker)
{
    struct bw_run *run = TAILQ_FIRST(&worker->with_script);
    forget(run);
    if (run->script_tasks) return;
    bw_script_suspend_run(run->script, &run->suspended);
    bw_scripts_return(worker, run->entry, run->script);
    run->script = NULL;
}

/* One report on the disk may let hundreds of runs go on in one turn: those that were the first do not wait for its end, so that the others find
 * theirs. */
static void note(struct bw_run *run)
{
    struct bw_worker *worker = run->event->worker;
    if (run->is_with_script) return;
    run->is_with_script = true;
    if (TAILQ_EMPTY(&worker->with_script)) event_active(worker->suspend_event, 0, 0);
    TAILQ_INSERT_TAIL(&worker->with_script, run, script_link);
    if (++worker->with_script_count > BW_SCRIPTS_A_TURN) suspend_first(worker);
}

bool bw_run_begin_script(struct bw_run *run, const struct bw_run_scope *scope, struct bw_error *err)
{
    if (!(run->script = bw_scripts_take(run->event->worker, run->entry, err))) return false;
    bw_script_begin_run(run->script, scope);
    note(run);
    return true;
}

struct bw_script *bw_run_script(struct bw_run *run)
{
    struct bw_error err;
    if (!run->script) {
        if (!(run->script = bw_scripts_take(run->event->worker, run->entry, &err))) exit(70);
        bw_script_resume_run(run->script, &run->suspended);
    }
    note(run);
    return run->script;
}

struct bw_script *bw_run_script_at(struct bw_run *run, size_t step)
{
    struct bw_script *script = bw_run_script(run);
    bw_script_set_error(script, bw_run_error_at(run, step));
    return script;
}

void bw_run_script_is_used(struct bw_run *run)
{
    run->script_tasks++;
}

void bw_run_script_is_left(struct bw_run *run)
{
    if (!--run->script_tasks) note(run);
}

void bw_run_end_script(struct bw_run *run)
{
    forget(run);
    bw_suspended_run_free(&run->suspended);
    bw_scripts_return(run->event->worker, run->entry, run->script);
    run->script = NULL;
}

static void on_turn_end(evutil_socket_t fd, short what, void *arg)
{
    struct bw_worker *worker = arg;
    (void)fd, (void)what;
    while (!TAILQ_EMPTY(&worker->with_script)) suspend_first(worker);
}

bool bw_suspend_open(struct bw_worker *worker)
{
    TAILQ_INIT(&worker->with_script);
    return (worker->suspend_event = event_new(worker->base, -1, 0, on_turn_end, worker)) != NULL;
}
