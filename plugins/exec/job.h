/* job.h: programs that run, and calls that wait until there is room for theirs. One thread, the host's loop. */
#ifndef EXEC_JOB_H
#define EXEC_JOB_H
#include "order.h"

struct exec_jobs; /* opaque */

struct exec_jobs *exec_jobs_new(const struct bw_plugin_host *host, const struct exec_config *config); /* config has to stay; NULL without memory */
/* Runs it, now or when there is room, and completes the call. Takes what is in the order. */
void exec_jobs_submit_take(struct exec_jobs *jobs, struct bw_plugin_call *call, struct exec_order *order);
void exec_jobs_cancel(struct exec_jobs *jobs, const struct bw_plugin_call *call);
/* What still runs is ended by its guards. */
void exec_jobs_free(struct exec_jobs *jobs);
#endif
