/* The queue of events. In memory while it is short; when it grows, the store is the queue and memory only its front. */
#include "base/crash_point.h"
#include "base/log.h"
#include "dispatch/recorded.h"
#include <stdlib.h>
#include <string.h>

#define FRAME_SPARE (1u << 20) /* lengths, names, what is lost: the rest of a frame */

/* glibc's <sys/queue.h> has no safe reverse walk. */
#define TAILQ_FOREACH_REVERSE_SAFE(var, head, headname, field, previous) \
    for ((var) = TAILQ_LAST((head), headname); (var) && ((previous) = TAILQ_PREV((var), headname, field), 1); (var) = (previous))

static struct bw_slice key_of(const int64_t *number)
{
    return (struct bw_slice){(const char *)number, sizeof *number};
}

struct bw_job *bw_jobs_find(struct bw_dispatch *dispatch, int64_t number)
{
    return dispatch->jobs ? bw_map_get(dispatch->jobs, key_of(&number)) : NULL;
}

static void job_free(struct bw_dispatch *dispatch, struct bw_job *job)
{
    bw_map_remove(dispatch->jobs, key_of(&job->number));
    json_decref(job->verdicts);
    bw_accepted_unref(job->event);
    free(job);
}

static void leave_queue(struct bw_dispatch *dispatch, struct bw_job *job)
{
    if (job->is_apart)
        TAILQ_REMOVE(&dispatch->suspects, job, link);
    else
        bw_pool_dequeue(job);
}

static void enter_queue(struct bw_dispatch *dispatch, struct bw_job *job, bool at_front)
{
    job->is_apart = job->is_suspect && !bw_pool_keeps_order(dispatch, job);
    if (!job->is_apart)
        bw_pool_enqueue(job, at_front);
    else if (at_front)
        TAILQ_INSERT_HEAD(&dispatch->suspects, job, link);
    else
        TAILQ_INSERT_TAIL(&dispatch->suspects, job, link);
}

/* From now on the store is the queue, for everything after the events that are in memory. */
static void fall_behind(struct bw_dispatch *dispatch, int64_t event_id)
{
    if (dispatch->is_behind) return;
    dispatch->is_behind = true;
    dispatch->behind_after = event_id - 1;
}

void bw_jobs_read_back(struct bw_dispatch *dispatch, int64_t event_id)
{
    fall_behind(dispatch, event_id);
    bw_jobs_feed_soon(dispatch);
}

void bw_jobs_add(struct bw_dispatch *dispatch, struct bw_accepted *event, bool may_be_recorded)
{
    /* Read back from the store before its message arrived here: it is known already. */
    if (bw_jobs_find(dispatch, event->event_id)) {
        bw_accepted_unref(event);
        return;
    }
    if (!may_be_recorded && (dispatch->is_behind || bw_pool_is_full(dispatch->pools))) {
        fall_behind(dispatch, event->event_id);
        bw_accepted_unref(event);
        return;
    }
    struct bw_job *job = calloc(1, sizeof *job);
    if (!job || !bw_map_set(dispatch->jobs, key_of(&event->event_id), job)) {
        free(job);
        fall_behind(dispatch, event->event_id); /* it is in the store: memory will come back */
        bw_accepted_unref(event);
        return;
    }
    job->number = event->event_id;
    job->event = event;
    job->pool = dispatch->pools;
    job->may_be_recorded = may_be_recorded;
    if (may_be_recorded) bw_suspects_recall(dispatch, job);
    enter_queue(dispatch, job, false);
}

/* ---- reading back ---- */

static void release_copy(struct bw_accepted *accepted)
{
    free(accepted);
}

static struct bw_slice copy_into(char **at, struct bw_slice bytes)
{
    struct bw_slice copy = {*at, bytes.len};
    if (bytes.len) memcpy(*at, bytes.ptr, bytes.len);
    *at += bytes.len;
    return copy;
}

static struct bw_accepted *copy_stored(const struct bw_event *row)
{
    struct bw_accepted *event = malloc(sizeof *event + row->source.len + row->name.len + row->headers.len + row->body.len + row->workflow.len);
    if (!event) return NULL;
    char *at = (char *)(event + 1);
    *event = (struct bw_accepted){
        .release = release_copy, .event_id = row->id, .uid = row->uid, .at_ms = row->at_ms, .revision = row->revision, .trusted = row->trusted};
    atomic_init(&event->references, 1);
    event->source = copy_into(&at, row->source);
    event->name = copy_into(&at, row->name);
    event->headers = copy_into(&at, row->headers);
    event->body = copy_into(&at, row->body);
    event->workflow = copy_into(&at, row->workflow);
    return event;
}

static bool add_stored(void *arg, const struct bw_event *row)
{
    struct bw_dispatch *dispatch = arg;
    struct bw_accepted *event;
    struct bw_job *job;
    dispatch->behind_after = row->id;
    if (bw_jobs_find(dispatch, row->id)) return true;
    if (!(event = copy_stored(row))) {
        dispatch->behind_after = row->id - 1;
        return false;
    }
    bw_jobs_add(dispatch, event, true);
    if (row->is_damaged && (job = bw_jobs_find(dispatch, row->id))) job->is_damaged = true;
    return dispatch->pools->queued_bytes < BW_JOBS_BYTES_MAX;
}

static bool take_event(void *arg, const struct bw_event *row)
{
    struct bw_job *job = arg;
    job->event = copy_stored(row);
    job->is_damaged = row->is_damaged;
    return false;
}

bool bw_jobs_add_run(struct bw_dispatch *dispatch, const struct bw_queued *queued, struct bw_pool *pool)
{
    struct bw_job *job = bw_jobs_find(dispatch, -queued->run_id);
    struct bw_error err = {0};
    bool found;
    if (job) { /* it parked and was woken before that was known here; or it was read back twice */
        job->is_woken_again = job->is_finished;
        if (job->is_finished && queued->revision) job->event->revision = queued->revision; /* it was resumed under another one */
        return true;
    }
    if (!(job = calloc(1, sizeof *job))) return false;
    *job = (struct bw_job){.number = -queued->run_id, .run = queued->run, .pool = pool, .is_child = queued->is_child, .may_be_recorded = true};
    if (!bw_reader_event_by_id(dispatch->reader, queued->event_id, queued->needs_event, take_event, job, &found, &err) || !job->event ||
        !bw_map_set(dispatch->jobs, key_of(&job->number), job)) {
        if (err.code[0]) bw_log_error(BW_LOG_ERROR, "dispatch.read_back", &err);
        if (job->event) bw_accepted_unref(job->event);
        free(job);
        return false;
    }
    if (queued->revision) job->event->revision = queued->revision; /* the event is a copy of this job's own */
    bw_suspects_recall(dispatch, job);
    enter_queue(dispatch, job, false);
    return true;
}

static void refill(struct bw_dispatch *dispatch)
{
    struct bw_error err;
    size_t visited = 0, limit = 512;
    if (dispatch->wakes) bw_wakes_refill(dispatch->wakes);
    if (!dispatch->is_behind || !bw_pool_is_low(dispatch->pools)) return;
    /* Posts that were dropped before this read are committed, so the read sees them; later ones are posted again to a queue that is not
     * behind. Both arrive on this thread, so nothing falls between. */
    if (!bw_reader_pending(dispatch->reader, dispatch->behind_after, limit, add_stored, dispatch, &visited, &err)) {
        bw_log_error(BW_LOG_ERROR, "dispatch.read_back", &err);
        return; /* the next feed tries again */
    }
    if (visited < limit && !bw_pool_is_full(dispatch->pools)) dispatch->is_behind = false;
}

/* ---- handing out ---- */

enum handing { HANDED_OVER, NOT_NOW, NEVER, GONE };

static enum handing report_damaged(const struct bw_accepted *event)
{
    char uid[BW_UID_TEXT];
    bw_log(BW_LOG_ERROR, "event.damaged", BW_STR("event", bw_uid_text(event->uid, BW_UID_EVENT, uid)),
           BW_STR("message", "a stored body is not what was accepted, so no workflow is run with it; check this machine's disk and memory"));
    return NEVER;
}

static enum handing report_given_up(const struct bw_accepted *event)
{
    char uid[BW_UID_TEXT];
    bw_log(BW_LOG_ERROR, "event.given_up", BW_STR("event", bw_uid_text(event->uid, BW_UID_EVENT, uid)),
           BW_STR("message", "it has ended every worker process that had it, also when nothing of it was run: it is left as it is"));
    return NEVER;
}

static void append_suspicion(struct bw_buf *head, const struct bw_job *job)
{
    struct bw_error err;
    if (!job->is_suspect) return;
    bw_buf_append_text(head, ",\"suspect\":true");
    if (!bw_job_is_condemned(job)) return;
    bw_error_set(&err, "worker_lost", "this run ended its worker process %u times, each time between two pieces of code", job->alone);
    bw_error_hint(&err, "the engine's log says how the workers ended (worker.lost); it may be the memory that its steps take while they wait");
    json_t *error = bw_dispatch_error_json(&err, "lost");
    bw_buf_append_text(head, ",\"condemned\":");
    bw_json_append(head, error);
    json_decref(error);
}

static enum handing hand_over(struct bw_run_worker *worker, struct bw_job *job)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    const struct bw_accepted *event = job->event;
    struct bw_recorded *recorded = NULL;
    struct bw_slice simple[2] = {event->body, event->headers}, *parts = simple;
    size_t part_count = 2;
    struct bw_buf head = {0};
    char uid[BW_UID_TEXT];
    enum handing handing = NOT_NOW;

    if (job->is_damaged) return report_damaged(event);
    if (bw_job_is_given_up(job)) return report_given_up(event);
    if (!bw_catalog_send(worker, event->revision)) return NOT_NOW;
    bw_buf_printf(
        &head,
        "{\"job\":%lld,\"event\":%lld,\"uid\":\"%s\",\"revision\":%u,\"at_ms\":%lld,\"trusted\":%s,\"body_part\":0,\"headers_part\":1,\"name\":",
        (long long)job->number, (long long)event->event_id, bw_uid_text(event->uid, BW_UID_EVENT, uid), event->revision, (long long)event->at_ms,
        event->trusted ? "true" : "false");
    bw_buf_append_json_string(&head, event->name);
    bw_buf_append_text(&head, ",\"source\":");
    bw_buf_append_json_string(&head, event->source);
    if (event->workflow.len) {
        bw_buf_append_text(&head, ",\"workflow\":");
        bw_buf_append_json_string(&head, event->workflow);
    }
    if (job->verdicts) {
        bw_buf_append_text(&head, ",\"verdicts\":");
        bw_json_append(&head, job->verdicts);
    }
    if (job->has_losses) {
        bw_buf_append_text(&head, ",\"lost\":");
        bw_losses_append(dispatch->losses, job->number, &head);
    }
    append_suspicion(&head, job);
    if (job->may_be_recorded) {
        struct bw_error err;
        if (!(recorded = calloc(1, sizeof *recorded))) goto out;
        recorded->part_count = 2;
        recorded->dispatch = dispatch;
        if (!bw_recorded_read(dispatch, job, recorded, &err)) {
            bw_log_error(BW_LOG_ERROR, "dispatch.read_runs", &err);
            goto out;
        }
        if (job->number < 0 && !recorded->is_live) {
            handing = GONE;
            goto out;
        }
        if (recorded->has_damaged) {
            job->is_damaged = true;
            handing = report_damaged(event);
            goto out;
        }
        if (recorded->too_many ||
            recorded->bytes.len + recorded->head.len + event->body.len + event->headers.len + FRAME_SPARE > BW_FRAME_BYTES_MAX) {
            bw_log(BW_LOG_ERROR, "dispatch.too_many_steps", BW_STR("event", uid),
                   BW_STR("message", "this event has more recorded step outputs than one frame holds, so its runs stay as they are"));
            handing = NEVER;
            goto out;
        }
        for (size_t i = 2; i < recorded->part_count; i++) recorded->parts[i].ptr = recorded->bytes.data + (size_t)recorded->parts[i].ptr;
        recorded->parts[0] = event->body;
        recorded->parts[1] = event->headers;
        parts = recorded->parts;
        part_count = recorded->part_count;
        bw_buf_append_slice(&head, bw_buf_slice(&recorded->head));
        if (job->number < 0) {
            bw_buf_append_text(&head, ",\"resume\":");
            bw_buf_append_json_string(&head, bw_buf_slice(&recorded->workflow));
        }
    }
    bw_buf_append_char(&head, '}');
    BW_CRASH_POINT(DISPATCH_BEFORE_JOB);
    if (!head.failed && bw_channel_send(worker->channel, BW_MSG_EVENT, bw_buf_slice(&head), parts, part_count)) handing = HANDED_OVER;
out:
    bw_recorded_free(recorded);
    bw_buf_free(&head);
    return handing;
}

/* Jobs of a pool; NULL: the suspects. Has it handed out anything? */
static bool feed_pool(struct bw_dispatch *dispatch, struct bw_pool *pool)
{
    struct bw_job_list *list = pool ? &pool->queued : &dispatch->suspects;
    struct bw_run_worker *worker;
    struct bw_job *job;
    bool has_fed = false;
    while ((job = TAILQ_FIRST(list)) && !job->open_reports) {
        if (pool && job->is_suspect && !bw_pool_keeps_order(dispatch, job)) { /* it did when it came; now nobody has to wait behind it */
            leave_queue(dispatch, job);
            enter_queue(dispatch, job, false);
            bw_jobs_feed_soon(dispatch);
            continue;
        }
        if (!(worker = pool ? bw_pool_pick(dispatch, job) : bw_suspects_pick(dispatch, job))) break;
        enum handing handing = hand_over(worker, job);
        if (handing == NOT_NOW) break; /* the channel is gone (its end is on the way) or memory is short: the job stays first */
        if (handing == NEVER && !bw_reports_give_up(dispatch, job)) break;
        leave_queue(dispatch, job);
        has_fed = true;
        if (handing == GONE) {
            bw_suspects_forget(dispatch, job);
            job_free(dispatch, job);
        } else if (handing == HANDED_OVER) {
            TAILQ_INSERT_TAIL(&worker->jobs, job, link);
            if (bw_pool_keeps_order(dispatch, job)) bw_order_given(&dispatch->order, worker);
            job->worker = worker;
            worker->in_hand++;
            dispatch->in_hand++;
            dispatch->exchanged++;
        }
        if (pool && bw_pool_is_low(pool)) refill(dispatch);
    }
    return has_fed;
}

void bw_jobs_feed(struct bw_dispatch *dispatch)
{
    bool has_fed = true;
    if (dispatch->is_draining || dispatch->is_failed || dispatch->stalled || !dispatch->revision) return;
    refill(dispatch);
    feed_pool(dispatch, NULL);
    while (has_fed) { /* what is read for one pool may be for another, too */
        has_fed = false;
        for (size_t i = 0; i < dispatch->pool_count; i++) has_fed |= feed_pool(dispatch, &dispatch->pools[i]);
        has_fed &= dispatch->pool_count > 1;
    }
}

void bw_jobs_feed_soon(struct bw_dispatch *dispatch)
{
    event_active(dispatch->feed_event, EV_TIMEOUT, 0);
}

/* ---- coming back ---- */

static void leave_worker(struct bw_dispatch *dispatch, struct bw_job *job)
{
    if (!job->worker) return;
    TAILQ_REMOVE(&job->worker->jobs, job, link);
    job->worker->in_hand--;
    dispatch->in_hand--;
    job->worker = NULL;
}

void bw_jobs_finish(struct bw_dispatch *dispatch, struct bw_job *job)
{
    if (job->worker && job->worker->may_have < BW_WORKER_IN_HAND_MAX) job->worker->may_have++;
    leave_worker(dispatch, job);
    job->is_finished = true;
}

void bw_jobs_settle(struct bw_dispatch *dispatch, struct bw_job *job, uint32_t matched)
{
    if (job->open_reports) return;
    if (job->is_finished && job->is_woken_again) {
        job->is_finished = job->is_woken_again = false;
        enter_queue(dispatch, job, false);
        bw_jobs_feed_soon(dispatch);
    } else if (job->is_finished) {
        struct bw_uid uid = job->event->uid;
        bool is_child = job->is_child;
        bw_suspects_forget(dispatch, job);
        job_free(dispatch, job);
        if (dispatch->handlers.event_done && !is_child) dispatch->handlers.event_done(dispatch->handlers.arg, uid, matched);
    } else if (!job->worker) {
        bw_jobs_feed_soon(dispatch); /* that one had died, and the job has waited for this */
    }
}

/* The run belongs to this event? Identities are derived, so it can be asked; a death is rare, and so is the cancelling of a run. */
static bool run_is_of(struct bw_uid run, const struct bw_job *job, json_t *names)
{
    const char *name;
    json_t *yes;
    if (job->number < 0) return bw_uid_equal(job->run, run);
    if (job->event->workflow.len) return bw_uid_equal(bw_uid_of_run(job->event->uid, job->event->workflow), run);
    json_object_foreach(names, name, yes) if (bw_uid_equal(bw_uid_of_run(job->event->uid, bw_slice_of(name)), run)) return true;
    return false;
}

struct bw_job *bw_jobs_of_run(struct bw_dispatch *dispatch, struct bw_uid run)
{
    struct bw_run_worker *worker;
    struct bw_job *job;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    TAILQ_FOREACH(job, &worker->jobs, link)
    if (run_is_of(run, job, dispatch->workflow_names)) return job;
    return NULL;
}

bool bw_jobs_may_have(struct bw_dispatch *dispatch, struct bw_uid run)
{
    size_t position = 0;
    struct bw_slice key;
    void *value;
    while (dispatch->jobs && bw_map_next(dispatch->jobs, &position, &key, &value))
        if (run_is_of(run, value, dispatch->workflow_names)) return true;
    return false;
}

/* A hang is the fault of the step that was executing, and final. A crash counts, and the worker gives up above a limit. */
static void judge(struct bw_dispatch *dispatch, struct bw_job *job, const struct bw_flight_note *note)
{
    char run[BW_UID_TEXT];
    struct bw_error err;
    bw_error_set(&err, "lua.timeout", "the code did not give way for %lld ms inside one call, so its worker process was ended",
                 (long long)dispatch->options.config->stall_ms);
    bw_error_hint(&err, "look for a string pattern or a loop over a huge value; `stall` in bellwire.yaml sets the limit");
    if (!job->verdicts) job->verdicts = json_array();
    json_array_append_new(job->verdicts, json_pack("{s:s,s:s,s:o}", "run", bw_uid_text(note->run, BW_UID_RUN, run), "path", note->path, "error",
                                                   bw_dispatch_error_json(&err, "bug")));
}

void bw_jobs_worker_lost(struct bw_run_worker *worker, const struct bw_flight_note *note, bool is_innocent)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    struct bw_job *job, *previous, *culprit = note ? bw_jobs_find(dispatch, note->job) : NULL;
    size_t lost = worker->in_hand;
    if (culprit && culprit->worker != worker) culprit = NULL; /* what was executing belongs to a job that has ended */
    TAILQ_FOREACH_REVERSE_SAFE(job, &worker->jobs, bw_job_list, link, previous)
    {
        leave_worker(dispatch, job);
        job->may_be_recorded = true;
        if (job == culprit) {
            if (worker->was_stalled)
                judge(dispatch, job, note);
            else
                bw_suspects_blame(dispatch, job, note);
        } else if (!culprit && !is_innocent) {
            bw_suspects_unexplained(dispatch, job, lost == 1);
        }
        enter_queue(dispatch, job, true);
    }
    bw_jobs_feed_soon(dispatch);
    char run[BW_UID_TEXT] = "";
    if (note) bw_uid_text(note->run, BW_UID_RUN, run);
    bw_log(BW_LOG_WARN, "worker.lost", BW_INT("worker", worker->number), BW_STR("pool", worker->pool ? worker->pool->name : "suspects"),
           BW_STR("how", worker->how), BW_STR("run", note ? run : NULL), BW_STR("step", note ? note->path : NULL),
           BW_BOOL("stalled", worker->was_stalled), BW_INT("events_back_in_queue", lost));
}

void bw_jobs_free(struct bw_dispatch *dispatch)
{
    size_t position = 0;
    struct bw_slice key;
    void *value;
    if (!dispatch->jobs) return;
    while (bw_map_next(dispatch->jobs, &position, &key, &value)) job_free(dispatch, value);
    bw_map_free(dispatch->jobs, NULL);
    dispatch->jobs = NULL;
}
