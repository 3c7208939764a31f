/* Wiring of the room: start-up order, the periodic watch, draining. */
#include "dispatch/dispatch.h"
#include "base/log.h"
#include "dispatch/hosts.h"
#include "dispatch/internal.h"
#include "store/pack.h"
#include <stdlib.h>
#include <string.h>

struct stored_revision {
    struct bw_store_op op;
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
};

json_t *bw_dispatch_error_json(const struct bw_error *err, const char *class)
{
    json_t *error = json_pack("{s:s,s:s}", "code", err->code, "message", err->message);
    if (class) json_object_set_new(error, "class", json_string(class));
    if (*err->hint) json_object_set_new(error, "hint", json_string(err->hint));
    if (*err->file) json_object_set_new(error, "file", json_string(err->file));
    if (err->line) json_object_set_new(error, "line", json_integer(err->line));
    if (err->column) json_object_set_new(error, "column", json_integer(err->column));
    return error;
}

void bw_dispatch_fail(struct bw_dispatch *dispatch, const struct bw_error *err)
{
    if (dispatch->is_failed) return;
    dispatch->is_failed = true;
    dispatch->handlers.fatal(dispatch->handlers.arg, err);
}

/* ---- the catalogue becomes a revision ---- */

void bw_dispatch_activate(struct bw_dispatch *dispatch, uint32_t revision, struct bw_awaited *awaited)
{
    struct bw_run_worker *worker;
    dispatch->revision = revision;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (worker->state == BW_WORKER_LIVE) bw_catalog_send(worker, revision);
    bw_awaits_publish_take(&dispatch->awaits, awaited); /* from here on events are accepted under it */
    bw_jobs_feed_soon(dispatch);
}

/* The first one. Nothing is accepted under it before a worker has loaded it: what an event is hashed by is known only then. */
static void activate_first(struct bw_dispatch *dispatch, uint32_t revision)
{
    struct bw_run_worker *worker;
    dispatch->revision = revision;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (worker->state == BW_WORKER_LIVE) bw_catalog_send(worker, revision);
    bw_jobs_feed_soon(dispatch);
}

static void on_revision_stored(struct bw_store_op *op)
{
    struct stored_revision *stored = op->owner;
    bw_mailbox_post(stored->dispatch->mailbox, &stored->mail); /* writer thread */
}

static void revision_committed(struct bw_mail *mail)
{
    struct stored_revision *stored = (struct stored_revision *)((char *)mail - offsetof(struct stored_revision, mail));
    struct bw_dispatch *dispatch = stored->dispatch;
    if (dispatch->revision)
        bw_reload_stored(dispatch->reload, stored->op.revision_id, stored->op.failed ? &stored->op.error : NULL);
    else if (stored->op.failed)
        bw_dispatch_fail(dispatch, &stored->op.error);
    else
        activate_first(dispatch, stored->op.revision_id);
    free(stored);
}

bool bw_dispatch_store_revision(struct bw_dispatch *dispatch, const struct bw_revision *content, struct bw_error *err)
{
    struct stored_revision *stored = calloc(1, sizeof *stored);
    if (!stored) return bw_error_set(err, "memory", "out of memory");
    stored->dispatch = dispatch;
    stored->mail.kind = BW_MAIL_REVISION;
    stored->op = (struct bw_store_op){.kind = BW_OP_REVISION, .done = on_revision_stored, .owner = stored, .revision = content};
    bw_store_submit(dispatch->options.store, &stored->op);
    return true;
}

void bw_dispatch_hosts_settled(struct bw_dispatch *dispatch)
{
    struct bw_plugin_host *host;
    struct bw_error err;
    TAILQ_FOREACH(host, &dispatch->hosts, link) host->was_ready |= host->state == BW_HOST_READY;
    if (dispatch->is_catalog_known || !bw_hosts_all_answered(dispatch)) return;
    dispatch->is_catalog_known = true;
    if (!(dispatch->catalog = bw_catalog_read(dispatch, NULL, NULL, dispatch->load_errors, &err))) {
        bw_dispatch_fail(dispatch, &err);
    } else if (dispatch->options.check_only) {
        activate_first(dispatch, 1);
    } else if (!bw_dispatch_store_revision(dispatch, dispatch->catalog, &err)) {
        bw_dispatch_fail(dispatch, &err);
    }
}

void bw_dispatch_note_order(struct bw_dispatch *dispatch, const json_t *workflows)
{
    size_t index;
    json_t *workflow;
    json_array_foreach(workflows, index, workflow) dispatch->is_ordered |= bw_json_bool(workflow, "ordered", false);
}

/* Of the current revision all is said with its catalogue. Once for each of the others, not once for each worker. */
static void log_refused(struct bw_dispatch *dispatch, const json_t *head)
{
    int64_t revision = bw_json_int(head, "revision", 0);
    const json_t *refused = json_object_get(head, "refused");
    char number[24];
    size_t index;
    json_t *one;
    snprintf(number, sizeof number, "%lld", (long long)revision);
    if (revision == dispatch->revision || !json_array_size(refused) || json_object_get(dispatch->told_refused, number)) return;
    json_object_set_new(dispatch->told_refused, number, json_true());
    json_array_foreach(refused, index, one)
    {
        struct bw_error err = bw_json_error(json_object_get(one, "error"));
        char text[1200];
        bw_log(BW_LOG_ERROR, "catalog.revision_refused", BW_INT("revision", revision), BW_STR("workflow", bw_json_str(one, "workflow", "")),
               BW_STR("message", bw_error_text(&err, text, sizeof text)),
               BW_STR("hint", "its runs of then fail, and can be resumed with --latest; events of then do not start it"));
    }
}

void bw_dispatch_catalog_loaded(struct bw_dispatch *dispatch, const json_t *head)
{
    const json_t *workflows = json_object_get(head, "workflows");
    struct bw_awaited *awaited;
    json_t *workflow;
    size_t index;
    /* Also those of older revisions: whose a run is that has no row yet is found by their names. */
    bw_dispatch_note_order(dispatch, workflows);
    log_refused(dispatch, head);
    json_array_foreach(workflows, index, workflow) json_object_set_new(dispatch->workflow_names, bw_json_str(workflow, "name", ""), json_true());
    if (dispatch->is_catalog_reported || bw_json_int(head, "revision", 0) != dispatch->revision) return;
    dispatch->is_catalog_reported = true;
    struct bw_error err;
    bw_error_set(&err, "memory", "out of memory");
    if (!bw_pools_set(dispatch, workflows) || !bw_pairs_add(dispatch, workflows) || !bw_about_store(dispatch, workflows) ||
        (dispatch->schedules && !bw_schedules_set(dispatch->schedules, workflows)) ||
        !(awaited = bw_awaited_new(dispatch->revision, workflows, dispatch->pairs))) {
        bw_dispatch_fail(dispatch, &err);
        return;
    }
    dispatch->workflows = json_incref((json_t *)workflows);
    bw_usage_check_names(dispatch, dispatch->load_errors);
    if (dispatch->handlers.prepare) dispatch->handlers.prepare(dispatch->handlers.arg, workflows, dispatch->load_errors);
    bw_awaits_publish_take(&dispatch->awaits, awaited); /* from here on events are accepted under it */
    if (dispatch->handlers.ready) dispatch->handlers.ready(dispatch->handlers.arg, dispatch->revision);
    json_t *all = json_copy((json_t *)head), *errors = json_array();
    json_array_extend(errors, dispatch->load_errors);
    json_array_extend(errors, json_object_get(head, "errors"));
    json_object_set_new(all, "errors", errors);
    dispatch->handlers.catalog(dispatch->handlers.arg, all);
    json_decref(all);
    if (dispatch->reload) bw_reload_go_on(dispatch->reload);
}

size_t bw_dispatch_log_errors(const json_t *loaded)
{
    size_t index;
    json_t *error;
    json_array_foreach(json_object_get(loaded, "errors"), index, error)
    {
        struct bw_error err = bw_json_error(error);
        bw_log_error(BW_LOG_ERROR, "catalog.error", &err);
    }
    return index;
}

/* ---- mail, watch, feed ---- */

static void on_mail(struct bw_mail *mail, void *arg)
{
    struct bw_dispatch *dispatch = arg;
    switch ((enum bw_mail_kind)mail->kind) {
    case BW_MAIL_EVENT: {
        struct bw_accepted *event = (struct bw_accepted *)((char *)mail - offsetof(struct bw_accepted, mail));
        if (!dispatch->jobs) { /* closing: it is in the store */
            bw_accepted_unref(event);
            break;
        }
        bw_jobs_add(dispatch, event, false);
        bw_jobs_feed_soon(dispatch);
        break;
    }
    case BW_MAIL_REPORT: bw_reports_committed(mail); break;
    case BW_MAIL_REVISION: revision_committed(mail); break;
    case BW_MAIL_WAKES: bw_wakes_told(dispatch->wakes); break;
    case BW_MAIL_SCHEDULE: bw_schedules_stored(mail); break;
    case BW_MAIL_LIMITS: bw_permits_stored(mail); break;
    case BW_MAIL_APPROVAL: bw_approvals_mail(mail); break;
    case BW_MAIL_CALLBACK: bw_callbacks_mail(mail); break;
    case BW_MAIL_STATUS: bw_status_mail(mail); break;
    case BW_MAIL_TOOL_RUN: bw_tool_run_mail(mail); break;
    case BW_MAIL_USAGE: bw_usage_stored(mail); break;
    case BW_MAIL_FETCH: bw_fetches_mail(mail); break;
    case BW_MAIL_CANCEL: bw_cancels_stored(mail); break;
    case BW_MAIL_PAUSE: bw_pauses_stored(mail); break;
    case BW_MAIL_PAIRS: bw_pairs_stored(mail); break;
    case BW_MAIL_ABOUT: bw_about_stored(mail); break;
    case BW_MAIL_WATCHED: bw_cancel_on_told(dispatch, mail); break;
    case BW_MAIL_FIRED: bw_wakes_fired(dispatch->wakes); break;
    case BW_MAIL_TRIAL: bw_trial_store_quiet(dispatch); break;
    }
    if (dispatch->trial) bw_trial_look(dispatch);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct bw_dispatch *dispatch = arg;
    (void)fd, (void)what;
    bw_workers_watch(dispatch);
    bw_hosts_watch(dispatch);
    bw_awaits_reclaim(&dispatch->awaits);
    if (dispatch->reload) bw_reload_check(dispatch->reload);
    if (dispatch->wakes) bw_wakes_watch(dispatch->wakes);
    if (dispatch->schedules) bw_schedules_watch(dispatch->schedules);
    if (dispatch->permits) bw_permits_watch(dispatch->permits);
    if (dispatch->cancels) bw_cancels_watch(dispatch);
    bw_suspects_watch(dispatch);
    if (!bw_pools_are_empty(dispatch) || !TAILQ_EMPTY(&dispatch->suspects) || dispatch->is_behind ||
        (dispatch->wakes && bw_wakes_are_behind(dispatch->wakes)))
        bw_jobs_feed(dispatch);
    if (dispatch->trial) bw_trial_look(dispatch);
}

static void on_feed(evutil_socket_t fd, short what, void *arg)
{
    struct bw_dispatch *dispatch = arg;
    (void)fd, (void)what;
    bw_jobs_feed(dispatch);
    if (dispatch->trial) bw_trial_look(dispatch);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    bw_reports_retry(arg);
}

void bw_dispatch_post(struct bw_dispatch *dispatch, struct bw_accepted *accepted)
{
    accepted->mail.kind = BW_MAIL_EVENT;
    bw_mailbox_post(dispatch->mailbox, &accepted->mail);
}

const json_t *bw_dispatch_workflows(const struct bw_dispatch *dispatch)
{
    return dispatch->workflows;
}

uint32_t bw_dispatch_revision(const struct bw_dispatch *dispatch)
{
    return dispatch->revision;
}

void bw_dispatch_bind(struct bw_dispatch *dispatch, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    bw_awaits_bind(&dispatch->awaits, event_name, body, out);
}

bool bw_dispatch_bind_call(struct bw_dispatch *dispatch, struct bw_slice workflow, struct bw_slice event_name, struct bw_slice body,
                           struct bw_binding *out)
{
    return bw_awaits_bind_call(&dispatch->awaits, workflow, event_name, body, out);
}

void bw_dispatch_reload(struct bw_dispatch *dispatch)
{
    if (dispatch->reload) bw_reload_request(dispatch->reload);
}

bool bw_dispatch_is_reloading(const struct bw_dispatch *dispatch)
{
    return dispatch->reload && bw_reload_is_busy(dispatch->reload);
}

size_t bw_dispatch_in_hand(const struct bw_dispatch *dispatch)
{
    return dispatch->in_hand;
}

size_t bw_dispatch_pids(const struct bw_dispatch *dispatch, pid_t *out, size_t capacity)
{
    const struct bw_run_worker *worker;
    size_t count = 0;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (count < capacity) out[count++] = bw_process_pid(worker->process);
    return count + bw_hosts_pids(dispatch, out + count, capacity - count);
}

void bw_dispatch_drain(struct bw_dispatch *dispatch)
{
    dispatch->is_draining = true;
    bw_dispatch_check_drained(dispatch);
}

void bw_dispatch_check_drained(struct bw_dispatch *dispatch)
{
    if (!dispatch->is_draining || dispatch->is_drained || dispatch->in_hand || dispatch->open_reports) return;
    dispatch->is_drained = true;
    if (dispatch->handlers.drained) dispatch->handlers.drained(dispatch->handlers.arg);
}

/* ---- life ---- */

static bool make_events(struct bw_dispatch *dispatch)
{
    const struct timeval period = {.tv_usec = BW_WATCHDOG_MS * 1000};
    dispatch->mailbox = bw_mailbox_new(dispatch->base, on_mail, dispatch);
    dispatch->watchdog = event_new(dispatch->base, -1, EV_PERSIST, on_watch, dispatch);
    dispatch->feed_event = event_new(dispatch->base, -1, 0, on_feed, dispatch);
    dispatch->retry_event = event_new(dispatch->base, -1, 0, on_retry, dispatch);
    return dispatch->mailbox && dispatch->watchdog && dispatch->feed_event && dispatch->retry_event && !event_add(dispatch->watchdog, &period);
}

struct bw_dispatch *bw_dispatch_new(struct event_base *base, const struct bw_dispatch_options *options, const struct bw_dispatch_handlers *handlers,
                                    struct bw_error *err)
{
    struct bw_dispatch *dispatch = calloc(1, sizeof *dispatch);
    bw_error_set(err, "memory", "out of memory");
    if (!dispatch) return NULL;
    dispatch->base = base;
    dispatch->options = *options;
    dispatch->packer = bw_packer_new();
    dispatch->handlers = *handlers;
    dispatch->is_draining = options->hold;
    dispatch->is_behind = !options->check_only; /* whatever an earlier process left in the store comes first */
    TAILQ_INIT(&dispatch->workers);
    TAILQ_INIT(&dispatch->suspects);
    TAILQ_INIT(&dispatch->hosts);
    TAILQ_INIT(&dispatch->fetches);
    dispatch->jobs = bw_map_new();
    dispatch->load_errors = json_array();
    dispatch->workflow_names = json_object();
    dispatch->told_refused = json_object();
    dispatch->pairs = json_array();
    dispatch->secrets = options->config->secrets;
    dispatch->secret_count = options->config->secret_count;
    dispatch->budgets = &options->config->budgets;
    dispatch->limits = options->config->limits;
    dispatch->limit_count = options->config->limit_count;
    if (!(dispatch->values = bw_json_load(bw_slice_of(options->config->values ? options->config->values : "{}"), err))) goto fail;
    if (!(dispatch->configure = bw_json_load(bw_slice_of(options->config->configure ? options->config->configure : "{}"), err))) goto fail;
    if (!bw_pools_open(dispatch) || !dispatch->jobs || !dispatch->pairs || !dispatch->load_errors || !dispatch->workflow_names ||
        !dispatch->told_refused || !make_events(dispatch))
        goto fail;
    /* Watched before they are read: no change falls between. */
    if (!options->check_only && !(dispatch->reload = bw_reload_new(dispatch))) goto fail;
    if (!options->check_only && !(dispatch->reader = bw_reader_open(options->store_folder, err))) goto fail;
    if (!options->check_only && !bw_pairs_read(dispatch, err)) goto fail;
    if (!options->check_only && !bw_approvals_open(dispatch, err)) goto fail;
    if (!options->check_only && !bw_pauses_open(dispatch, err)) goto fail;
    if (options->with_schedules && !(dispatch->schedules = bw_schedules_new(dispatch, err))) goto fail;
    if (!options->check_only && !(dispatch->wakes = bw_wakes_new(dispatch))) goto fail;
    if (!options->check_only && !(dispatch->permits = bw_permits_new(dispatch, err))) goto fail;
    bw_error_set(err, "memory", "out of memory");
    if (!bw_suspects_open(dispatch)) goto fail;
    if (!options->check_only && !(dispatch->cancels = bw_cancels_new())) goto fail;
    if (options->trial && !(dispatch->trial = bw_trial_watch_new(dispatch))) goto fail;
    /* Workers and plugins start side by side; the catalogue is read when every plugin has said what it offers. */
    if (!bw_workers_start(dispatch, err)) goto fail;
    if (!options->revision && !bw_hosts_start(dispatch, err)) goto fail; /* a revision has the manifests of its plugins */
    bw_dispatch_hosts_settled(dispatch);
    if (dispatch->is_failed) goto fail;
    return dispatch;
fail:
    bw_dispatch_free(dispatch);
    return NULL;
}

void bw_dispatch_stop(struct bw_dispatch *dispatch)
{
    bool was_stopped = dispatch->is_stopped;
    dispatch->is_stopped = true;
    dispatch->is_failed = true; /* nobody is replaced any more */
    if (dispatch->reload) bw_reload_stop(dispatch->reload);
    if (dispatch->wakes) bw_wakes_stop(dispatch->wakes);
    bw_workers_free(dispatch);
    bw_fetches_free(dispatch);
    bw_hosts_free(dispatch);
    if (dispatch->permits && !was_stopped) bw_permits_store(dispatch->permits);
}

void bw_dispatch_free(struct bw_dispatch *dispatch)
{
    if (!dispatch) return;
    bw_dispatch_stop(dispatch);
    bw_jobs_free(dispatch);
    bw_reports_free_stalled(dispatch);
    if (dispatch->mailbox) bw_mailbox_free(dispatch->mailbox);
    if (dispatch->watchdog) event_free(dispatch->watchdog);
    if (dispatch->feed_event) event_free(dispatch->feed_event);
    if (dispatch->retry_event) event_free(dispatch->retry_event);
    if (dispatch->reader) bw_reader_close(dispatch->reader);
    bw_reload_free(dispatch->reload);
    bw_wakes_free(dispatch->wakes);
    bw_trial_watch_free(dispatch->trial);
    bw_schedules_free(dispatch->schedules);
    bw_permits_free(dispatch->permits);
    bw_cancels_free(dispatch->cancels);
    bw_losses_free(dispatch->losses);
    bw_catalog_free(dispatch->catalog);
    bw_pools_free(dispatch);
    bw_awaits_end(&dispatch->awaits);
    bw_packer_free(dispatch->packer);
    free(dispatch->public_url);
    json_decref(dispatch->workflow_names);
    json_decref(dispatch->workflows);
    json_decref(dispatch->load_errors);
    json_decref(dispatch->told_refused);
    json_decref(dispatch->pairs);
    json_decref(dispatch->paused);
    json_decref(dispatch->values);
    json_decref(dispatch->configure);
    bw_config_live_free(&dispatch->live);
    free(dispatch);
}
