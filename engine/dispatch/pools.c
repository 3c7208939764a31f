/* Pools: the workers of one execute the runs of the workflows that ask for it, and each has a queue of its own, so that whoever waits for slow ones
 * waits for its own kind. Events are looked at by the default pool; what another one is to execute comes back out of the store's queue as a run.
 * Which pool that is, is for the current catalogue to say, whatever revision the run ends under: it is about where a run goes on, not about what it
 * means. */
#include "base/log.h"
#include "dispatch/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_pool(struct bw_dispatch *dispatch, const char *name, unsigned workers)
{
    struct bw_pool *pool = &dispatch->pools[dispatch->pool_count++];
    *pool = (struct bw_pool){.name = name, .first_worker = dispatch->worker_count + 1, .workers = workers};
    TAILQ_INIT(&pool->queued);
    dispatch->worker_count += workers;
}

bool bw_pools_open(struct bw_dispatch *dispatch)
{
    const struct bw_config *config = dispatch->options.config;
    bool is_one = dispatch->options.check_only || dispatch->options.hold;
    size_t others = dispatch->options.with_pools ? config->pool_count : 0;
    if (!(dispatch->pools = calloc(others + 1, sizeof *dispatch->pools)) || !(dispatch->pool_of = bw_map_new())) return false;
    add_pool(dispatch, BW_CONFIG_POOL_DEFAULT, is_one ? 1 : config->workers);
    for (size_t i = 0; i < others; i++) add_pool(dispatch, config->pools[i].name, config->pools[i].workers);
    return true;
}

struct bw_pool *bw_pool_named(struct bw_dispatch *dispatch, const char *name)
{
    for (size_t i = 0; i < dispatch->pool_count; i++)
        if (!strcmp(dispatch->pools[i].name, name)) return &dispatch->pools[i];
    return dispatch->pools;
}

bool bw_pools_set(struct bw_dispatch *dispatch, const json_t *workflows)
{
    struct bw_map *fresh = bw_map_new();
    json_t *workflow;
    size_t index;
    if (!fresh) return false;
    json_array_foreach(workflows, index, workflow)
    {
        const char *name = bw_json_str(workflow, "pool", NULL);
        if (!name || bw_map_set(fresh, bw_json_slice(json_object_get(workflow, "name")), bw_pool_named(dispatch, name))) continue;
        bw_map_free(fresh, NULL);
        return false;
    }
    bw_map_free(dispatch->pool_of, NULL);
    dispatch->pool_of = fresh;
    if (dispatch->wakes) bw_wakes_pools_changed(dispatch->wakes);
    return true;
}

struct bw_pool *bw_pool_of(struct bw_dispatch *dispatch, struct bw_slice workflow)
{
    struct bw_pool *pool = bw_map_get(dispatch->pool_of, workflow);
    return pool ? pool : dispatch->pools;
}

struct bw_pool *bw_pool_of_worker(struct bw_dispatch *dispatch, unsigned number)
{
    for (size_t i = 0; i < dispatch->pool_count; i++)
        if (number >= dispatch->pools[i].first_worker && number - dispatch->pools[i].first_worker < dispatch->pools[i].workers)
            return &dispatch->pools[i];
    return NULL;
}

/* ---- its queue ---- */

static size_t bytes_of(const struct bw_job *job)
{
    return job->event->body.len + job->event->headers.len + sizeof *job;
}

void bw_pool_enqueue(struct bw_job *job, bool at_front)
{
    struct bw_pool *pool = job->pool;
    if (at_front)
        TAILQ_INSERT_HEAD(&pool->queued, job, link);
    else
        TAILQ_INSERT_TAIL(&pool->queued, job, link);
    pool->queued_count++;
    pool->queued_bytes += bytes_of(job);
}

void bw_pool_dequeue(struct bw_job *job)
{
    TAILQ_REMOVE(&job->pool->queued, job, link);
    job->pool->queued_count--;
    job->pool->queued_bytes -= bytes_of(job);
}

bool bw_pool_is_full(const struct bw_pool *pool)
{
    return pool->queued_count >= BW_JOBS_QUEUED_MAX || pool->queued_bytes >= BW_JOBS_BYTES_MAX;
}

bool bw_pool_is_low(const struct bw_pool *pool)
{
    return pool->queued_count < BW_JOBS_QUEUED_MAX / 4 && pool->queued_bytes < BW_JOBS_BYTES_MAX / 2;
}

bool bw_pools_are_empty(const struct bw_dispatch *dispatch)
{
    for (size_t i = 0; i < dispatch->pool_count; i++)
        if (!TAILQ_EMPTY(&dispatch->pools[i].queued)) return false;
    return true;
}

/* ---- its workers ---- */

bool bw_pool_keeps_order(const struct bw_dispatch *dispatch, const struct bw_job *job)
{
    return (dispatch->is_ordered || !dispatch->is_catalog_reported) && job->number > 0 && !job->is_looked_at;
}

/* Runs ask for their slots in the order of the events: one worker looks at all of them, and the same one until it ends. */
static struct bw_run_worker *pick_ordering(struct bw_dispatch *dispatch, const struct bw_pool *pool)
{
    struct bw_run_worker *worker, *best = NULL;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (worker->pool == pool && worker->state == BW_WORKER_LIVE && (!best || worker->number == dispatch->ordering_worker)) best = worker;
    if (!best) return NULL;
    dispatch->ordering_worker = best->number;
    return best->in_hand < best->may_have && bw_channel_unsent(best->channel) < BW_WORKER_UNSENT_MAX ? best : NULL;
}

static void ask_looker(struct bw_dispatch *dispatch)
{
    struct bw_run_worker *worker;
    char head[48];
    if (dispatch->order.question) return;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    {
        if (worker != dispatch->order.looker) continue;
        int len = snprintf(head, sizeof head, "{\"question\":%lld}", (long long)bw_order_ask(&dispatch->order));
        bw_channel_send(worker->channel, BW_MSG_LOOK, (struct bw_slice){head, (size_t)len}, NULL, 0); /* or its end is on the way */
    }
}

static struct bw_run_worker *pick_in_order(struct bw_dispatch *dispatch, const struct bw_job *job)
{
    struct bw_run_worker *worker = job->is_suspect ? bw_suspects_pick(dispatch, job) : pick_ordering(dispatch, job->pool);
    if (!worker || bw_order_is_turn_of(&dispatch->order, worker)) return worker;
    ask_looker(dispatch);
    return NULL;
}

void bw_pool_looked(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_job *job;
    if (!bw_order_answered(&worker->dispatch->order, worker, bw_json_int(head, "question", 0))) return;
    TAILQ_FOREACH(job, &worker->jobs, link) job->is_looked_at = job->number > 0;
    bw_jobs_feed_soon(worker->dispatch);
}

/* A step says itself how many of its runs may be under way: a fresh worker gets them all. */
struct bw_run_worker *bw_pool_pick(struct bw_dispatch *dispatch, const struct bw_job *job)
{
    struct bw_run_worker *worker, *best = NULL;
    if (bw_pool_keeps_order(dispatch, job)) return pick_in_order(dispatch, job);
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (worker->pool == job->pool && worker->state == BW_WORKER_LIVE &&
        worker->in_hand < (job->is_child ? BW_WORKER_IN_HAND_MAX : worker->may_have) && bw_channel_unsent(worker->channel) < BW_WORKER_UNSENT_MAX &&
        (!best || worker->in_hand < best->in_hand))
        best = worker;
    return best;
}

void bw_pools_free(struct bw_dispatch *dispatch)
{
    bw_map_free(dispatch->pool_of, NULL);
    free(dispatch->pools);
}
