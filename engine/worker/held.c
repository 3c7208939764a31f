/* Runs of an event that have ended a worker before: each begins when nothing else of the event is under way. */
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

struct bw_held_run {
    TAILQ_ENTRY(bw_held_run) link; /* in worker->held */
    struct bw_worker_event *event;
    struct bw_catalog_workflow *entry;
    bool has_failed;
    struct bw_error error; /* has_failed: of its trigger */
    json_t *cancelled;     /* it was, meanwhile */
    char uid_text[BW_UID_TEXT];
};

bool bw_run_is_accused(const struct bw_worker_event *event, const struct bw_catalog_workflow *entry)
{
    char uid[BW_UID_TEXT];
    size_t index;
    json_t *lost;
    bw_uid_text(bw_uid_of_run(event->uid, entry->workflow->name), BW_UID_RUN, uid);
    json_array_foreach(json_object_get(event->head, "lost"), index, lost) if (!strcmp(bw_json_str(lost, "run", ""), uid)) return true;
    return false;
}

void bw_held_add(struct bw_worker_event *event, struct bw_catalog_workflow *entry, const struct bw_error *trigger_error)
{
    struct bw_held_run *held = calloc(1, sizeof *held);
    if (!held) exit(70);
    held->event = event;
    held->entry = entry;
    held->has_failed = trigger_error != NULL;
    if (trigger_error) held->error = *trigger_error;
    bw_uid_text(bw_uid_of_run(event->uid, entry->workflow->name), BW_UID_RUN, held->uid_text);
    TAILQ_INSERT_TAIL(&event->worker->held, held, link);
    event->held_runs++;
}

static void begin(evutil_socket_t fd, short what, void *arg)
{
    struct bw_worker_event *event = arg;
    struct bw_held_run *held;
    (void)fd, (void)what;
    event->is_held_run_due = false;
    if (bw_channel_unsent(event->worker->channel)) { /* what the runs before it have reported must not die with it */
        bw_held_go_on(event);
        return;
    }
    TAILQ_FOREACH(held, &event->worker->held, link)
    if (held->event == event) break;
    if (!held) return;
    TAILQ_REMOVE(&event->worker->held, held, link);
    event->held_runs--;
    json_decref(event->cancelled);
    event->cancelled = held->cancelled;
    bw_run_start(event, held->entry, held->has_failed ? &held->error : NULL);
    free(held);
}

void bw_held_go_on(struct bw_worker_event *event)
{
    if (event->is_held_run_due || event->open_runs > event->held_runs) return;
    if (event_base_once(event->worker->base, -1, EV_TIMEOUT, begin, event, &(struct timeval){.tv_usec = 1000})) exit(70);
    event->is_held_run_due = true;
}

void bw_held_cancel(struct bw_worker *worker, const json_t *head)
{
    struct bw_held_run *held;
    TAILQ_FOREACH(held, &worker->held, link)
    {
        if (strcmp(held->uid_text, bw_json_str(head, "run", "")) != 0) continue;
        json_decref(held->cancelled);
        held->cancelled = json_deep_copy(json_object_get(head, "cancelled"));
    }
}
