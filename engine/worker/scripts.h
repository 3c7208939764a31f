/* scripts.h: which Lua state serves whom. */
#ifndef BW_WORKER_SCRIPTS_H
#define BW_WORKER_SCRIPTS_H
#include "lua/script.h"

#define BW_SCRIPTS_IDLE_MAX 32  /* of one workflow */
#define BW_SCRIPT_IDLE_MS 30000 /* a Lua state that nobody has needed for so long is freed */

struct bw_worker;
struct bw_catalog_workflow;
struct bw_run;

/* ---- scripts.c: the Lua states of workflows ---- */
bool bw_scripts_open(struct bw_worker *worker); /* false: no memory */
/* A state for one run, or for one look at a trigger; NULL: it cannot be made. What was taken is returned, or freed by who found it broken. */
struct bw_script *bw_scripts_take(struct bw_worker *worker, struct bw_catalog_workflow *entry, struct bw_error *err);
void bw_scripts_return(struct bw_worker *worker, struct bw_catalog_workflow *entry, struct bw_script *script); /* NULL is fine */
void bw_scripts_drop(struct bw_worker *worker, struct bw_catalog_workflow *entry);                             /* all that are idle */
void bw_scripts_sweep(struct bw_worker *worker, int64_t now_us); /* those that are idle for long, the shared ones as well */
void bw_scripts_sweep_later(struct bw_worker *worker);

/* ---- shared_scripts.c: those of bundled plugins ---- */
#define BW_SHARED_SCRIPT_TASKS 32 /* at once in one state: enough for its code to weigh little, few enough for its collector to be quick */
struct bw_shared_script;
struct bw_shared_script *bw_shared_script_join(struct bw_worker *worker, const struct bw_package *package,
                                               struct bw_error *err); /* NULL: no memory */
struct bw_script *bw_shared_script_state(const struct bw_shared_script *shared);
void bw_shared_script_leave(struct bw_shared_script *shared);                              /* its task is freed. NULL is fine */
void bw_shared_scripts_drop(struct bw_worker *worker, const struct bw_package *package);   /* no code of it runs any more */
bool bw_shared_scripts_sweep(struct bw_worker *worker, int64_t now_us, bool *has_dropped); /* true: some are idle, but not for long */

/* ---- suspend.c: a run has a Lua state while something of it is evaluated or executed in it, not while it waits for others ---- */
#define BW_SCRIPTS_A_TURN 32                    /* runs that keep theirs until the turn of the loop ends: they may need it again at once */
bool bw_suspend_open(struct bw_worker *worker); /* false: no memory */
bool bw_run_begin_script(struct bw_run *run, const struct bw_run_scope *scope, struct bw_error *err); /* its first one */
/* To evaluate something now: not to be kept while another run is given one. Without memory for it the process ends: another one goes on. */
struct bw_script *bw_run_script(struct bw_run *run);
struct bw_script *bw_run_script_at(struct bw_run *run, size_t step); /* the same, and `error` is what it is at that step */
void bw_run_script_is_used(struct bw_run *run);                      /* by a task in it, which keeps it */
void bw_run_script_is_left(struct bw_run *run);                      /* … and is freed */
void bw_run_end_script(struct bw_run *run);                          /* it needs none any more */
#endif
