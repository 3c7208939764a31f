/* Plugins: one process each. One that crashes, hangs or will not load costs the calls it had, nothing else. */
#include "dispatch/hosts.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CRASHES_BEFORE_REST 5 /* within a minute, then it backs off */
#define NEEDS_TOLD_MAX 3
#define CRASH_WINDOW_US (60 * 1000000LL)
#define REST_FIRST_US (1 * 1000000LL)
#define REST_MAX_US (300 * 1000000LL)

const char *bw_host_name(const struct bw_plugin_host *host)
{
    const char *slash = strrchr(host->path, '/');
    return slash ? slash + 1 : host->path;
}

/* By the name of its file, which is known before anything of it is loaded. */
bool bw_host_is_wanted(const struct bw_plugin_host *host, const json_t *configure)
{
    char name[NAME_MAX];
    const char *file = bw_host_name(host);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(file, "."), file);
    return !host->wants_configuration || bw_settings_is_configured(configure, name);
}

/* ---- what its processes are made of ---- */

struct bw_plugin_build *bw_plugin_build_new(struct bw_plugin_file *file_take)
{
    struct bw_plugin_build *build = calloc(1, sizeof *build);
    if (!build) {
        bw_plugin_file_close(file_take);
        return NULL;
    }
    build->references = 1;
    build->file = *file_take;
    return build;
}

struct bw_plugin_build *bw_plugin_build_ref(struct bw_plugin_build *build)
{
    build->references++;
    return build;
}

void bw_plugin_build_unref(struct bw_plugin_build *build)
{
    if (!build || --build->references) return;
    bw_plugin_file_close(&build->file);
    json_decref(build->manifest);
    json_decref(build->needs);
    bw_settings_free(&build->settings);
    free(build);
}

/* ---- the way to a process that takes calls ---- */

void bw_host_say_late(struct bw_error *err)
{
    bw_error_set(err, "plugin.load_timeout", "the plugin did not finish loading within %d ms", BW_HOST_LOAD_MS);
    bw_error_hint(err, "init() must return at once: move slow work into the first execute()");
}

void bw_host_say_crashed(const struct bw_plugin_process *process, struct bw_error *err)
{
    bw_error_set(err, "plugin.crashed", "the plugin ended its host while it was loaded or initialised (%s)", process->end.how);
    bw_error_hint(err, "call its init() from a small main() under a debugger: a plugin is an ordinary shared object (engine/plugin/README.md)");
}

static void refuse(struct bw_plugin_host *host, const struct bw_error *err)
{
    struct bw_plugin_process *process;
    host->state = BW_HOST_REFUSED;
    bw_log_error(BW_LOG_ERROR, "plugin.refused", err);
    TAILQ_FOREACH(process, &host->processes, link)
    if (!host->candidate || process != host->candidate->process) bw_host_process_kill(process, "the plugin was refused");
}

/* How long the next one of several in a row lasts. */
static int64_t next_rest_us(struct bw_plugin_host *host)
{
    int64_t rest = REST_FIRST_US << (host->rests < 9 ? host->rests : 9);
    host->rests++;
    return rest > REST_MAX_US ? REST_MAX_US : rest;
}

/* One that was good once may be so again: what its init() wants may be back. */
static void refuse_file(struct bw_plugin_host *host, const struct bw_error *err)
{
    struct bw_error placed = *err;
    bw_error_at(&placed, host->path, 0, 0);
    refuse(host, &placed);
    if (host->was_ready) {
        host->again_us = bw_clock_mono_us() + next_rest_us(host);
        return;
    }
    bw_catalog_refuse_file(host->dispatch, 0, host->path, &placed);
    bw_dispatch_hosts_settled(host->dispatch);
}

/* What is wrong is in the configuration, and is said of that. */
static void refuse_settings(struct bw_plugin_host *host, const struct bw_errors *errs)
{
    host->is_misconfigured = true;
    for (size_t i = 0; i < errs->count; i++) {
        refuse(host, &errs->items[i]);
        json_array_append_new(host->dispatch->load_errors, bw_dispatch_error_json(&errs->items[i], NULL));
    }
    bw_dispatch_hosts_settled(host->dispatch);
}

void bw_host_process_refused(struct bw_plugin_process *process, const struct bw_error *err)
{
    if (bw_host_candidate_failed(process, err, 1)) return;
    if (process == process->host->current)
        refuse_file(process->host, err);
    else
        bw_host_process_kill(process, err->message);
}

void bw_host_start(struct bw_plugin_host *host)
{
    struct bw_error err;
    host->state = BW_HOST_LOADING;
    host->started_us = bw_clock_mono_us();
    if (!(host->current = bw_host_process_start(host, host->build, &err))) refuse_file(host, &err);
}

/* Before its first instruction nobody knows what it needs: so it is loaded with nothing, says it, and is started again with what it has said. */
static void start_again(struct bw_plugin_process *process, json_t *needs)
{
    struct bw_plugin_host *host = process->host;
    struct bw_plugin_build *build = process->build;
    struct bw_plugin_process **place = process == host->current ? &host->current : process == host->next ? &host->next : NULL;
    struct bw_error err;
    if (host->candidate && process == host->candidate->process) place = &host->candidate->process;
    if (!place || process->is_leaving) return;
    if (++build->needs_told > NEEDS_TOLD_MAX) {
        bw_error_set(&err, "plugin.needs", "the plugin needs something else each time it is loaded");
        bw_error_hint(&err, "the manifest must be a constant");
        bw_host_process_refused(process, &err);
        return;
    }
    json_decref(build->needs);
    build->needs = json_incref(needs);
    host->started_us = bw_clock_mono_us();
    process->is_leaving = true;
    bw_host_process_leave(process);
    struct bw_plugin_process *other = bw_host_process_start(host, build, &err);
    if (other)
        *place = other;
    else
        bw_host_process_refused(process, &err);
}

/* By the configuration that would hold for it. */
static bool may_be(struct bw_plugin_process *process, const json_t *manifest)
{
    struct bw_plugin_host *host = process->host;
    bool is_candidate = host->candidate && process == host->candidate->process;
    struct bw_error err;
    enum bw_settings_may may = bw_settings_may(is_candidate ? host->candidate->configure : host->dispatch->configure, manifest, &err);
    if (may == BW_PLUGIN_MAY_BE) return true;
    if (is_candidate) {
        if (may == BW_PLUGIN_IS_OFF)
            bw_host_candidate_off(process);
        else
            bw_host_candidate_failed(process, &err, 1);
    } else if (may == BW_PLUGIN_IS_OFF) {
        bw_log(BW_LOG_INFO, "plugin.off", BW_STR("plugin", bw_host_name(host)),
               BW_STR("message", "bellwire.yaml lets it need nothing, and it needs something"));
        host->is_misconfigured = true;
        host->state = BW_HOST_REFUSED;
        process->is_unwanted = true;
        bw_host_process_kill(process, "it is not to be");
        bw_dispatch_hosts_settled(host->dispatch);
    } else {
        struct bw_errors errs = {.items = &err, .count = 1};
        refuse_settings(host, &errs);
    }
    return false;
}

static bool has_what_it_needs(const struct bw_plugin_process *process, const json_t *needs)
{
    return json_array_size(needs) ? json_equal(needs, process->needs) : !json_array_size(process->needs);
}

/* What it is told: by the reload that it is a candidate of, else by the configuration that serves. */
static bool make_settings(struct bw_plugin_process *process)
{
    struct bw_plugin_host *host = process->host;
    struct bw_plugin_build *build = process->build;
    bool is_candidate = host->candidate && process == host->candidate->process;
    struct bw_errors errs = {0};
    if (build->settings.config ||
        bw_settings_make(is_candidate ? host->candidate->configure : host->dispatch->configure, build->manifest, &build->settings, &errs))
        return true;
    if (is_candidate)
        bw_host_candidate_failed(process, errs.items, errs.count);
    else
        refuse_settings(host, &errs);
    bw_errors_free(&errs);
    return false;
}

static void settle_ready(struct bw_plugin_host *host)
{
    if (host->is_doubted) {
        host->rests = 0;
        bw_log(BW_LOG_INFO, "plugin.returned", BW_STR("plugin", bw_host_name(host)), BW_STR("message", "it takes calls again"));
    }
    host->is_doubted = false;
    host->state = BW_HOST_READY;
    bw_host_health_begin(host);
    bw_dispatch_hosts_settled(host->dispatch);
}

void bw_host_loaded(struct bw_plugin_process *process, json_t *manifest)
{
    struct bw_plugin_host *host = process->host;
    struct bw_plugin_build *build = process->build;
    if (!json_equal(build->manifest, manifest)) { /* at first; or it has another one each time, and start_again() ends that */
        bw_settings_free(&build->settings);
        json_decref(build->manifest);
        build->manifest = json_incref(manifest);
    }
    if (host->dispatch->options.shows_all && !bw_host_is_wanted(host, host->dispatch->configure))
        settle_ready(host); /* it is only looked at */
    else if (!may_be(process, manifest) || !make_settings(process))
        return; /* it has been said why */
    else if (!has_what_it_needs(process, build->settings.needs))
        start_again(process, build->settings.needs);
    else
        bw_host_process_init(process);
}

void bw_host_ready(struct bw_plugin_process *process)
{
    struct bw_plugin_host *host = process->host;
    process->build->needs_told = 0;
    process->is_ready = true;
    process->loaded_bytes = bw_process_resident_bytes(process->process);
    if (bw_host_candidate_ready(process) || bw_host_renew_ready(process)) return;
    if (process != host->current || host->state != BW_HOST_LOADING) return;
    settle_ready(host);
}

/* ---- its end ---- */

static void rest_or_restart(struct bw_plugin_host *host)
{
    int64_t now = bw_clock_mono_us();
    memmove(host->crashes_us, host->crashes_us + 1, (CRASHES_BEFORE_REST - 1) * sizeof *host->crashes_us);
    host->crashes_us[CRASHES_BEFORE_REST - 1] = now;
    if (host->next) { /* it comes at the right time */
        host->current = host->next;
        host->next = NULL;
        host->state = BW_HOST_LOADING;
        return;
    }
    if (!host->crashes_us[0] || now - host->crashes_us[0] >= CRASH_WINDOW_US) {
        bw_host_start(host);
        return;
    }
    int64_t rest = next_rest_us(host);
    host->state = BW_HOST_RESTING;
    host->rest_until_us = now + rest;
    bw_log(BW_LOG_WARN, "plugin.resting", BW_STR("plugin", bw_host_name(host)), BW_INT("rest_ms", rest / 1000),
           BW_STR("message", "it crashed again and again"));
}

void bw_host_process_lost(struct bw_plugin_process *process)
{
    struct bw_plugin_host *host = process->host;
    struct bw_error err;
    if (host->current == process) host->current = NULL;
    if (bw_host_candidate_lost(process) || bw_host_renew_failed(process) || host->state == BW_HOST_REFUSED) return;
    if (!host->was_ready && host->state == BW_HOST_LOADING) {
        bw_host_say_crashed(process, &err);
        refuse_file(host, &err);
        return;
    }
    bw_log(BW_LOG_WARN, "plugin.crashed", BW_STR("plugin", bw_host_name(host)), BW_STR("how", process->end.how),
           BW_STR("frames", *process->end.frames ? process->end.frames : NULL));
    rest_or_restart(host);
}

struct bw_plugin_host *bw_host_add(struct bw_dispatch *dispatch, const char *path, bool is_bundled)
{
    struct bw_plugin_host *host = calloc(1, sizeof *host);
    struct bw_plugin_file none = BW_PLUGIN_FILE_NONE;
    if (!host || !(host->path = bw_slice_dup(bw_slice_of(path))) || !(host->build = bw_plugin_build_new(&none))) {
        if (host) free(host->path);
        free(host);
        return NULL;
    }
    host->dispatch = dispatch;
    host->is_bundled = is_bundled;
    TAILQ_INIT(&host->processes);
    TAILQ_INSERT_TAIL(&dispatch->hosts, host, link);
    return host;
}

static bool add_folder(struct bw_dispatch *dispatch, const char *folder, bool is_bundled, bool wants_configuration, struct bw_error *err)
{
    char **names = NULL;
    size_t count = 0;
    if (!bw_file_list(folder, ".so", false, &names, &count, err)) return false;
    for (size_t i = 0; i < count; i++) {
        char *path = bw_file_join(folder, names[i]);
        struct bw_plugin_host *host = path ? bw_host_add(dispatch, path, is_bundled) : NULL;
        if (host) host->wants_configuration = wants_configuration;
        free(path);
    }
    bw_file_list_free(names, count);
    return true;
}

static bool add_bundled(struct bw_dispatch *dispatch, struct bw_error *err)
{
    char folder[PATH_MAX];
    for (size_t i = 0; i < BW_BUNDLED_FOLDERS; i++) {
        if (!bw_bundled_folder(i, folder)) continue;
        char *inner = bw_file_join(folder, "when-configured");
        bool added = inner && add_folder(dispatch, folder, true, false, err) && add_folder(dispatch, inner, true, true, err);
        free(inner);
        if (!added) return false;
    }
    return true;
}

bool bw_hosts_start(struct bw_dispatch *dispatch, struct bw_error *err)
{
    struct bw_plugin_host *host, *next;
    if (!add_bundled(dispatch, err) || !add_folder(dispatch, dispatch->options.config->plugins, false, false, err)) return false;
    for (host = TAILQ_FIRST(&dispatch->hosts); host; host = next) {
        next = TAILQ_NEXT(host, link);
        if (!dispatch->options.shows_all && !bw_host_is_wanted(host, dispatch->configure))
            host->state = BW_HOST_REFUSED;
        else if (bw_plugin_file_read(host->path, &host->build->file, err))
            bw_host_start(host);
        else
            refuse_file(host, err);
    }
    return true;
}

bool bw_hosts_all_answered(const struct bw_dispatch *dispatch)
{
    const struct bw_plugin_host *host;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (host->state == BW_HOST_LOADING && !host->was_ready) return false;
    return true;
}

void bw_hosts_watch(struct bw_dispatch *dispatch)
{
    struct bw_plugin_host *host;
    struct bw_plugin_process *process, *next;
    struct bw_error err;
    int64_t now = bw_clock_mono_us();
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    {
        const struct bw_process *loading = host->state == BW_HOST_LOADING && host->current ? host->current->process : NULL;
        bool is_late = host->state == BW_HOST_LOADING && bw_process_is_late(loading, host->started_us, BW_HOST_LOAD_MS);
        if (is_late && !host->was_ready) {
            bw_host_say_late(&err);
            refuse_file(host, &err);
        }
        if (is_late && host->was_ready && host->current && !host->current->is_ready)
            bw_host_process_kill(host->current, "it did not finish loading"); /* its constructors, or init(), hang this time */
        if (host->state == BW_HOST_REFUSED && host->again_us && now >= host->again_us && !host->current && !host->candidate) {
            host->again_us = 0;
            host->is_doubted = true;
            bw_host_start(host);
        }
        if (host->state == BW_HOST_RESTING && now >= host->rest_until_us) bw_host_start(host);
        bw_host_renew_watch(host, now);
        bw_host_health_watch(host, now);
        bw_host_candidate_watch(host);
        for (process = TAILQ_FIRST(&host->processes); process; process = next) {
            next = TAILQ_NEXT(process, link);
            bw_host_process_watch(process, now);
        }
    }
}

size_t bw_hosts_pids(const struct bw_dispatch *dispatch, pid_t *out, size_t capacity)
{
    const struct bw_plugin_host *host;
    const struct bw_plugin_process *process;
    size_t count = 0;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    TAILQ_FOREACH(process, &host->processes, link)
    if (count < capacity && process->process) out[count++] = bw_process_pid(process->process);
    return count;
}

void bw_hosts_free(struct bw_dispatch *dispatch)
{
    struct bw_plugin_host *host;
    while ((host = TAILQ_FIRST(&dispatch->hosts))) {
        struct bw_plugin_process *process;
        TAILQ_REMOVE(&dispatch->hosts, host, link);
        bw_host_candidate_free(host);
        while ((process = TAILQ_FIRST(&host->processes))) {
            bw_host_calls_drop(process);
            bw_host_process_free(process);
        }
        bw_plugin_build_unref(host->build);
        free(host->path);
        free(host);
    }
}
