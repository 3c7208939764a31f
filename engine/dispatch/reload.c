/* Hot reload in two phases (semantics.md 2.5, "Versions"). The files as they are now are a candidate: plugins that are told something else get
 * processes beside those that serve (host_candidate.c), and then a worker process of its own loads what the folders hold, so that a file which hangs
 * or crashes while it is loaded disturbs nobody. Without an error it is stored and then becomes the current revision; with any, nothing changes. One
 * candidate at a time: what is asked for meanwhile is done afterwards. */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "config/limits.h"
#include "dispatch/internal.h"
#include "dispatch/watch.h"
#include "plugin/settings.h"
#include <stdlib.h>

#define POSTPONED_US_MAX 2000000 /* a file that is written without end is read as it is */
#define TRIAL_MS 30000           /* every file has its own, shorter limit: this is for what nobody thought of */

enum phase { IDLE, PLUGINS, TRYING, STORING };
struct bw_reload {
    struct bw_dispatch *dispatch;
    struct bw_watch *watch;
    enum phase phase;
    bool is_wanted;
    struct event *again;  /* it was put off */
    int64_t postponed_us; /* since when; 0: it is not */
    int64_t started_us;
    struct bw_revision *candidate;
    json_t *values, *configure;   /* of bellwire.yaml as it is now: taken over with the candidate, or refused with it */
    struct bw_config_live live;   /* the rest of that */
    struct bw_run_worker *worker; /* TRYING: loads the candidate, never sees an event */
    bool is_late;
    json_t *errors; /* found in the candidate so far */
    json_t *loaded; /* what the worker said about it */
};

/* ---- the end of a candidate ---- */

static void forget(struct bw_reload *reload)
{
    bw_hosts_drop(reload->dispatch);
    bw_catalog_free(reload->candidate);
    json_decref(reload->values);
    json_decref(reload->configure);
    json_decref(reload->errors);
    json_decref(reload->loaded);
    bw_config_live_free(&reload->live);
    reload->candidate = NULL;
    reload->values = reload->configure = reload->errors = reload->loaded = NULL;
    reload->phase = IDLE;
}

static void add_error(struct bw_reload *reload, const struct bw_error *err)
{
    json_array_append_new(reload->errors, bw_dispatch_error_json(err, NULL));
}

static bool prepare_routes(struct bw_reload *reload, const json_t *workflows)
{
    const struct bw_dispatch_handlers *handlers = &reload->dispatch->handlers;
    return !handlers->prepare || handlers->prepare(handlers->arg, workflows, reload->errors);
}

static void settle_routes(struct bw_reload *reload, bool is_taken)
{
    const struct bw_dispatch_handlers *handlers = &reload->dispatch->handlers;
    if (handlers->settle) handlers->settle(handlers->arg, is_taken);
}

static void refuse(struct bw_reload *reload)
{
    settle_routes(reload, false);
    json_t *all = json_pack("{s:O}", "errors", reload->errors);
    size_t count = bw_dispatch_log_errors(all);
    char message[160];
    snprintf(message, sizeof message, "the files in the folders are not taken over: revision %u, from before, serves on", reload->dispatch->revision);
    bw_log(BW_LOG_ERROR, "catalog.refused", BW_INT("revision", reload->dispatch->revision), BW_INT("errors", count), BW_STR("message", message));
    json_decref(all);
    forget(reload);
    bw_reload_go_on(reload);
}

static void refuse_for(struct bw_reload *reload, const struct bw_error *err)
{
    add_error(reload, err);
    refuse(reload);
}

/* ---- the trial ---- */

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_run_worker *worker = arg;
    struct bw_reload *reload = worker->dispatch->reload;
    (void)channel;
    if (message->type == BW_MSG_READY) {
        struct bw_dispatch *dispatch = worker->dispatch;
        bw_worker_send_values(worker, reload->values ? reload->values : dispatch->values, reload->configure ? reload->configure : dispatch->configure,
                              false);
        if (!bw_catalog_send_content(worker, 0, reload->candidate)) bw_process_kill(worker->process);
    } else if (message->type == BW_MSG_CATALOG_LOADED && !reload->loaded) {
        reload->loaded = json_incref((json_t *)message->head);
        bw_process_kill(worker->process); /* on_trial_ended() goes on */
    }
}

static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    struct bw_run_worker *worker = arg;
    (void)channel, (void)reason;
    bw_process_kill(worker->process);
}

static void store_candidate(struct bw_reload *reload)
{
    struct bw_error err;
    reload->phase = STORING;
    if (!bw_dispatch_store_revision(reload->dispatch, reload->candidate, &err)) refuse_for(reload, &err);
}

static void on_trial_ended(struct bw_process *process, int wait_status, const char *how, void *arg)
{
    struct bw_run_worker *worker = arg;
    struct bw_dispatch *dispatch = worker->dispatch;
    struct bw_reload *reload = dispatch->reload;
    struct bw_error err;
    (void)process, (void)wait_status;

    reload->worker = NULL;
    if (reload->loaded) {
        json_array_extend(reload->errors, json_object_get(reload->loaded, "errors"));
    } else if (bw_worker_died_loading(worker, how, &err)) {
        add_error(reload, &err);
    } else {
        if (reload->is_late)
            bw_error_set(&err, "catalog.timeout", "loading the workflows and actions did not end within %d s", TRIAL_MS / 1000);
        else
            bw_error_set(&err, "catalog.worker_lost", "the process that loaded the workflows and actions on trial ended (%s)", how);
        bw_error_hint(&err, "bellwire check loads them in the same way");
        add_error(reload, &err);
    }
    bw_worker_free(worker);
    if (dispatch->is_draining || dispatch->is_failed)
        forget(reload);
    else if (json_array_size(reload->errors) || !prepare_routes(reload, json_object_get(reload->loaded, "workflows")))
        refuse(reload);
    else
        store_candidate(reload);
}

static void begin_trial(struct bw_reload *reload)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    struct bw_error err;
    reload->phase = TRYING;
    reload->is_late = false;
    if ((reload->worker = bw_worker_new(reload->dispatch, 0, &handlers, on_trial_ended, &err)))
        bw_worker_configure(reload->worker, reload->live.limits, reload->live.limit_count, false);
    else
        refuse_for(reload, &err);
}

/* ---- from the wish to the current revision ---- */

static void read_live(struct bw_reload *reload)
{
    struct bw_errors errs = {0};
    struct bw_error err;
    if (bw_config_load_live(reload->dispatch->options.config, &reload->live, &errs)) {
        if (!(reload->values = bw_json_load(bw_slice_of(reload->live.values), &err))) add_error(reload, &err);
        if (!(reload->configure = bw_json_load(bw_slice_of(reload->live.configure), &err))) add_error(reload, &err);
    }
    for (size_t i = 0; i < errs.count; i++) add_error(reload, &errs.items[i]);
    bw_errors_free(&errs);
}

static bool is_unchanged(const struct bw_reload *reload)
{
    const struct bw_dispatch *dispatch = reload->dispatch;
    return !json_array_size(reload->errors) && !bw_hosts_have_changed(dispatch) && bw_catalog_equal(reload->candidate, dispatch->catalog) &&
           json_equal(reload->values, dispatch->values) && bw_settings_equal(reload->configure, dispatch->configure) &&
           bw_limits_equal(reload->live.limits, reload->live.limit_count, dispatch->limits, dispatch->limit_count);
}

static bool are_secrets_equal(const struct bw_dispatch *dispatch, const struct bw_config_live *live)
{
    bool are_equal = dispatch->secret_count == live->secret_count;
    for (size_t i = 0; are_equal && i < live->secret_count; i++) {
        const struct bw_secret *before = bw_secret_find(dispatch->secrets, dispatch->secret_count, bw_slice_of(live->secrets[i].name));
        are_equal = before && bw_slice_equal(before->values[0], live->secrets[i].values[0]);
    }
    return are_equal;
}

static void take_live(struct bw_dispatch *dispatch, struct bw_config_live *live)
{
    if (!bw_permits_set(dispatch->permits, live->limits, live->limit_count))
        bw_log(BW_LOG_ERROR, "limits.memory", BW_STR("message", "out of memory: some limits are what they were"));
    bw_config_live_free(&dispatch->live);
    dispatch->live = *live;
    *live = (struct bw_config_live){0};
    dispatch->secrets = dispatch->live.secrets;
    dispatch->secret_count = dispatch->live.secret_count;
    dispatch->budgets = &dispatch->live.budgets;
    dispatch->limits = dispatch->live.limits;
    dispatch->limit_count = dispatch->live.limit_count;
}

/* A workflow that is gone may have left its budget behind: that is said, and is no reason to keep the workflow. */
static void check_budgets(struct bw_dispatch *dispatch)
{
    json_t *all = json_pack("{s:[]}", "errors");
    bw_usage_check_names(dispatch, json_object_get(all, "errors"));
    bw_dispatch_log_errors(all);
    json_decref(all);
}

static void take_values(struct bw_reload *reload)
{
    struct bw_dispatch *dispatch = reload->dispatch;
    struct bw_run_worker *worker;
    bool are_same = json_equal(reload->values, dispatch->values) && are_secrets_equal(dispatch, &reload->live) &&
                    bw_limits_equal(reload->live.limits, reload->live.limit_count, dispatch->limits, dispatch->limit_count);
    bool is_told_the_same = bw_settings_equal(reload->configure, dispatch->configure);
    take_live(dispatch, &reload->live);
    check_budgets(dispatch);
    json_decref(dispatch->values);
    json_decref(dispatch->configure);
    dispatch->values = json_incref(reload->values);
    dispatch->configure = json_incref(reload->configure); /* also when only its lines have moved: errors name them */
    if (are_same && is_told_the_same) return;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (worker->state != BW_WORKER_KILLED) bw_worker_send_values(worker, dispatch->values, dispatch->configure, true);
    bw_log(BW_LOG_INFO, "config.changed", BW_INT("values", json_object_size(dispatch->values)));
}

static void read_catalog(struct bw_reload *reload)
{
    struct bw_dispatch *dispatch = reload->dispatch;
    struct bw_error err;
    if (!(reload->candidate = bw_catalog_read(dispatch, reload->values, reload->configure, reload->errors, &err))) {
        refuse_for(reload, &err);
    } else if (is_unchanged(reload)) {
        /* The files are; what they name need not be: a secret may have been rotated. */
        if (!prepare_routes(reload, dispatch->workflows)) {
            refuse(reload);
            return;
        }
        settle_routes(reload, true);
        take_values(reload);
        bw_log(BW_LOG_DEBUG, "catalog.unchanged", BW_INT("revision", dispatch->revision));
        forget(reload);
    } else {
        begin_trial(reload); /* also when a file cannot be read: all errors at once */
    }
}

void bw_reload_plugins_settled(struct bw_reload *reload)
{
    if (reload->phase != PLUGINS || !bw_hosts_are_tried(reload->dispatch)) return;
    reload->phase = IDLE;
    read_catalog(reload);
}

static void begin(struct bw_reload *reload)
{
    struct bw_dispatch *dispatch = reload->dispatch;
    reload->is_wanted = false;
    reload->postponed_us = 0;
    reload->started_us = bw_clock_mono_us();
    if (!(reload->errors = json_array())) {
        bw_log(BW_LOG_ERROR, "catalog.refused", BW_INT("revision", dispatch->revision), BW_STR("message", "out of memory"));
        return;
    }
    read_live(reload);
    reload->phase = PLUGINS;
    if (reload->configure) bw_hosts_try(dispatch, reload->configure, reload->errors);
    bw_reload_plugins_settled(reload);
}

void bw_reload_stored(struct bw_reload *reload, uint32_t revision, const struct bw_error *err)
{
    struct bw_dispatch *dispatch = reload->dispatch;
    struct bw_error no_memory;
    if (dispatch->is_draining || dispatch->is_failed) {
        forget(reload);
        return;
    }
    if (err) {
        refuse_for(reload, err);
        return;
    }
    const json_t *workflows = json_object_get(reload->loaded, "workflows");
    bool is_set = bw_pools_set(dispatch, workflows) && bw_pairs_add(dispatch, workflows) && bw_about_store(dispatch, workflows) &&
                  (!dispatch->schedules || bw_schedules_set(dispatch->schedules, workflows));
    struct bw_awaited *awaited = is_set ? bw_awaited_new(revision, workflows, dispatch->pairs) : NULL;
    if (!awaited) {
        bw_error_set(&no_memory, "memory", "out of memory");
        refuse_for(reload, &no_memory);
        return;
    }
    bw_dispatch_note_order(dispatch, workflows);
    BW_CRASH_POINT(DISPATCH_BEFORE_ACTIVATE);
    bw_catalog_free(dispatch->catalog);
    dispatch->catalog = reload->candidate;
    json_decref(dispatch->workflows);
    dispatch->workflows = json_incref((json_t *)workflows);
    reload->candidate = NULL;
    take_values(reload); /* before the first event under it */
    bw_hosts_take(dispatch);
    bw_dispatch_activate(dispatch, revision, awaited);
    settle_routes(reload, true); /* behind it: who is let in by a new route finds the workflow that waits */
    BW_CRASH_POINT(DISPATCH_AFTER_ACTIVATE);
    bw_log(BW_LOG_INFO, "catalog.activated", BW_INT("revision", revision),
           BW_INT("workflows", json_array_size(json_object_get(reload->loaded, "workflows"))),
           BW_INT("actions", json_array_size(json_object_get(reload->loaded, "actions"))),
           BW_INT("took_ms", (bw_clock_mono_us() - reload->started_us) / 1000));
    forget(reload);
    bw_reload_go_on(reload);
}

/* Somebody is copying a plugin: he will be done soon. */
static bool is_postponed(struct bw_reload *reload)
{
    int64_t now_us = bw_clock_mono_us(), wait_us = reload->again ? bw_hosts_unsettled_us(reload->dispatch) : 0;
    if (!reload->postponed_us) reload->postponed_us = now_us;
    if (!wait_us || now_us - reload->postponed_us >= POSTPONED_US_MAX) return false;
    const struct timeval wait = {.tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000};
    evtimer_add(reload->again, &wait);
    return true;
}

void bw_reload_go_on(struct bw_reload *reload)
{
    const struct bw_dispatch *dispatch = reload->dispatch;
    while (reload->is_wanted && reload->phase == IDLE && dispatch->is_catalog_reported && !dispatch->is_draining && !dispatch->is_failed &&
           !is_postponed(reload))
        begin(reload);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    bw_reload_go_on(arg);
}

void bw_reload_request(struct bw_reload *reload)
{
    reload->is_wanted = true;
    bw_reload_go_on(reload);
}

bool bw_reload_is_busy(const struct bw_reload *reload)
{
    return reload->is_wanted || reload->phase != IDLE;
}

void bw_reload_check(struct bw_reload *reload)
{
    if (reload->phase != TRYING) return;
    bw_worker_end_if_stalled(reload->worker, bw_clock_mono_us());
    if (reload->is_late || !bw_process_is_late(reload->worker->process, reload->started_us, TRIAL_MS)) return;
    reload->is_late = true;
    bw_process_kill(reload->worker->process);
}

bool bw_reload_is_idle(const struct bw_reload *reload)
{
    return reload->phase == IDLE && !reload->is_wanted;
}

/* ---- life ---- */

static void on_changed(void *arg)
{
    bw_reload_request(arg);
}

struct bw_reload *bw_reload_new(struct bw_dispatch *dispatch)
{
    struct bw_reload *reload = calloc(1, sizeof *reload);
    const struct bw_config *config = dispatch->options.config;
    const char *const folders[] = {config->workflows, config->actions, config->plugins, config->schemes};
    if (!reload) return NULL;
    reload->dispatch = dispatch;
    reload->again = evtimer_new(dispatch->base, on_again, reload);
    if (dispatch->options.watch_files) reload->watch = bw_watch_new(dispatch->base, folders, 4, on_changed, reload);
    return reload;
}

void bw_reload_stop(struct bw_reload *reload)
{
    bw_watch_free(reload->watch);
    bw_worker_free(reload->worker);
    if (reload->again) event_free(reload->again);
    reload->again = NULL;
    reload->watch = NULL;
    reload->worker = NULL;
}

void bw_reload_free(struct bw_reload *reload)
{
    if (!reload) return;
    bw_reload_stop(reload);
    forget(reload);
    free(reload);
}
