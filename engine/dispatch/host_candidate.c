/* What a reload would make of plugins: processes of files that have changed, or that are told something else. They are loaded and initialised beside
 * those that serve, so that what is refused changes nothing; when the reload is taken over they take the calls, and the old ones end what they have.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "dispatch/hosts.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_US 100000 /* a file that has been written since may be half of one */

/* ---- one candidate ---- */

static bool is_candidate(const struct bw_plugin_process *process)
{
    const struct bw_plugin_candidate *candidate = process->host->candidate;
    return candidate && candidate->process == process;
}

bool bw_host_candidate_failed(struct bw_plugin_process *process, const struct bw_error *errs, size_t count)
{
    if (!is_candidate(process)) return false;
    struct bw_plugin_candidate *candidate = process->host->candidate;
    for (size_t i = 0; i < count; i++) {
        struct bw_error placed = errs[i];
        bw_error_at(&placed, process->host->path, 0, 0);
        json_array_append_new(candidate->errors, bw_dispatch_error_json(&placed, NULL));
    }
    candidate->has_failed = true;
    bw_host_process_kill(process, "the plugin was refused");
    bw_reload_plugins_settled(process->host->dispatch->reload); /* the candidate may be gone after this */
    return true;
}

bool bw_host_candidate_ready(struct bw_plugin_process *process)
{
    if (!is_candidate(process)) return false;
    process->host->candidate->is_ready = true;
    bw_reload_plugins_settled(process->host->dispatch->reload);
    return true;
}

bool bw_host_candidate_lost(struct bw_plugin_process *process)
{
    struct bw_error err;
    if (!is_candidate(process)) return false;
    const struct bw_plugin_candidate *candidate = process->host->candidate;
    bw_host_say_crashed(process, &err);
    if (!candidate->is_ready && !candidate->has_failed) bw_host_candidate_failed(process, &err, 1);
    if (is_candidate(process)) process->host->candidate->process = NULL;
    return true;
}

void bw_host_candidate_watch(struct bw_plugin_host *host)
{
    struct bw_plugin_candidate *candidate = host->candidate;
    struct bw_error err;
    if (!candidate || candidate->is_ready || candidate->has_failed || !candidate->process) return;
    if (!bw_process_is_late(candidate->process->process, candidate->started_us, BW_HOST_LOAD_MS)) return;
    bw_host_say_late(&err);
    bw_host_candidate_failed(candidate->process, &err, 1);
}

void bw_host_candidate_free(struct bw_plugin_host *host)
{
    struct bw_plugin_candidate *candidate = host->candidate;
    if (!candidate) return;
    host->candidate = NULL;
    if (candidate->process) {
        candidate->process->is_leaving = candidate->process->is_unwanted = true;
        bw_host_process_leave(candidate->process);
    }
    bw_plugin_build_unref(candidate->build);
    free(candidate);
}

static bool is_to_be(const struct bw_plugin_candidate *candidate)
{
    return candidate->build && !candidate->is_off;
}

const json_t *bw_host_manifest(const struct bw_plugin_host *host)
{
    const struct bw_plugin_candidate *candidate = host->candidate;
    if (candidate && candidate->is_ready) return is_to_be(candidate) ? candidate->build->manifest : NULL;
    return host->was_ready ? host->build->manifest : NULL;
}

bool bw_host_candidate_off(struct bw_plugin_process *process)
{
    if (!is_candidate(process)) return false;
    struct bw_plugin_candidate *candidate = process->host->candidate;
    candidate->is_off = candidate->is_ready = true;
    process->is_unwanted = true;
    bw_host_process_kill(process, "it is not to be");
    bw_reload_plugins_settled(process->host->dispatch->reload);
    return true;
}

/* ---- those of a reload ---- */

struct trying {
    struct bw_dispatch *dispatch;
    const json_t *configure;
    json_t *errors;
};

static void add_error(const struct trying *trying, const char *path, const struct bw_error *err)
{
    struct bw_error placed = *err;
    if (path) bw_error_at(&placed, path, 0, 0);
    json_array_append_new(trying->errors, bw_dispatch_error_json(&placed, NULL));
}

static void add_memory_error(const struct trying *trying)
{
    struct bw_error err;
    bw_error_set(&err, "memory", "out of memory");
    add_error(trying, NULL, &err);
}

/* Takes the build over; NULL: the plugin would be gone. */
static void begin(const struct trying *trying, struct bw_plugin_host *host, struct bw_plugin_build *build_take, const char *why)
{
    struct bw_plugin_candidate *candidate = calloc(1, sizeof *candidate);
    struct bw_error err;
    if (!candidate) {
        bw_plugin_build_unref(build_take);
        add_memory_error(trying);
        return;
    }
    *candidate = (struct bw_plugin_candidate){.build = build_take,
                                              .configure = trying->configure,
                                              .errors = trying->errors,
                                              .is_ready = !build_take,
                                              .why = why,
                                              .started_us = bw_clock_mono_us()};
    host->candidate = candidate;
    if (!build_take || (candidate->process = bw_host_process_start(host, build_take, &err))) return;
    bw_host_candidate_free(host);
    add_error(trying, host->path, &err);
}

/* True: what lies there now is tried, or cannot be. */
static bool try_file(const struct trying *trying, struct bw_plugin_host *host)
{
    struct bw_plugin_build *build = host->build;
    struct bw_plugin_file file;
    struct bw_error err;
    if (bw_plugin_file_is_same(&build->file, host->path)) return false;
    if (!bw_plugin_file_is_there(host->path)) {
        if (host->was_ready) begin(trying, host, NULL, "its file is gone");
        return true;
    }
    if (!bw_plugin_file_read(host->path, &file, &err)) {
        add_error(trying, host->path, &err);
        return true;
    }
    if (!memcmp(file.hash, build->file.hash, sizeof file.hash)) { /* somebody has put the same there again */
        bw_plugin_file_close(&build->file);
        build->file = file;
        return false;
    }
    if ((build = bw_plugin_build_new(&file)))
        begin(trying, host, build, "its file has changed");
    else
        add_memory_error(trying);
    return true;
}

/* One that says what the old one says, and is told something else. */
static void try_settings(const struct trying *trying, struct bw_plugin_host *host)
{
    struct bw_plugin_file copy = host->build->file;
    struct bw_settings settings;
    struct bw_errors errs = {0};
    struct bw_error err;
    if (!host->build->manifest || (host->state == BW_HOST_REFUSED && !host->is_misconfigured)) return;
    enum bw_settings_may may = bw_settings_may(trying->configure, host->build->manifest, &err);
    if (may == BW_PLUGIN_MAY_NOT_BE) add_error(trying, NULL, &err);
    if (may == BW_PLUGIN_IS_OFF && host->was_ready) begin(trying, host, NULL, "bellwire.yaml does not let it be");
    if (may != BW_PLUGIN_MAY_BE) return;
    if (!bw_settings_make(trying->configure, host->build->manifest, &settings, &errs)) {
        for (size_t i = 0; i < errs.count; i++) add_error(trying, NULL, &errs.items[i]);
        bw_errors_free(&errs);
        return;
    }
    if (host->state != BW_HOST_REFUSED && host->build->settings.config && json_equal(settings.config, host->build->settings.config)) {
        bw_settings_free(&settings);
        return;
    }
    copy.copy = copy.copy < 0 ? -1 : fcntl(copy.copy, F_DUPFD_CLOEXEC, 0);
    struct bw_plugin_build *build = bw_plugin_build_new(&copy);
    if (!build) {
        bw_settings_free(&settings);
        add_memory_error(trying);
        return;
    }
    build->manifest = json_incref(host->build->manifest);
    build->needs = json_incref(settings.needs);
    build->settings = settings;
    begin(trying, host, build, "its configuration has changed");
}

static bool is_known(const struct bw_dispatch *dispatch, const char *path)
{
    const struct bw_plugin_host *host;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (!strcmp(host->path, path)) return true;
    return false;
}

/* What has been put there since. As long as it was not taken over there is nothing that it could do. */
static void add_new(const struct trying *trying)
{
    const char *folder = trying->dispatch->options.config->plugins;
    char **names = NULL;
    size_t count = 0;
    struct bw_error err;
    if (!bw_file_list(folder, ".so", false, &names, &count, &err)) add_error(trying, folder, &err);
    for (size_t i = 0; i < count; i++) {
        char *path = bw_file_join(folder, names[i]);
        struct bw_plugin_host *host = path && !is_known(trying->dispatch, path) ? bw_host_add(trying->dispatch, path, false) : NULL;
        if (host) host->state = BW_HOST_REFUSED;
        free(path);
    }
    bw_file_list_free(names, count);
}

static void wait_for_file(const char *path, int64_t *wait_us)
{
    int64_t left_us = QUIET_US - bw_plugin_file_rests_us(path);
    if (left_us > *wait_us) *wait_us = left_us;
}

int64_t bw_hosts_unsettled_us(const struct bw_dispatch *dispatch)
{
    const struct bw_plugin_host *host;
    const char *folder = dispatch->options.config->plugins;
    char **names = NULL;
    size_t count = 0;
    int64_t wait_us = 0;
    struct bw_error err;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (!bw_plugin_file_is_same(&host->build->file, host->path)) wait_for_file(host->path, &wait_us);
    bw_file_list(folder, ".so", false, &names, &count, &err); /* what cannot be listed is an error of the reload */
    for (size_t i = 0; i < count; i++) {
        char *path = bw_file_join(folder, names[i]);
        if (path && !is_known(dispatch, path)) wait_for_file(path, &wait_us);
        free(path);
    }
    bw_file_list_free(names, count);
    return wait_us;
}

void bw_hosts_try(struct bw_dispatch *dispatch, const json_t *configure, json_t *errors)
{
    const struct trying trying = {dispatch, configure, errors};
    struct bw_plugin_host *host;
    add_new(&trying);
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    {
        if (bw_host_is_wanted(host, configure)) {
            if (!try_file(&trying, host)) try_settings(&trying, host);
        } else if (host->was_ready) {
            begin(&trying, host, NULL, "it is configured no more");
        }
    }
}

bool bw_hosts_are_tried(const struct bw_dispatch *dispatch)
{
    const struct bw_plugin_host *host;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (host->candidate && !host->candidate->is_ready && !host->candidate->has_failed) return false;
    return true;
}

bool bw_hosts_have_changed(const struct bw_dispatch *dispatch)
{
    const struct bw_plugin_host *host;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (host->candidate) return true;
    return false;
}

/* Whatever is on its way to serve is made of what does not serve any more. */
static void retire(struct bw_plugin_host *host)
{
    struct bw_plugin_process *old[] = {host->current, host->next};
    host->current = host->next = NULL;
    for (size_t i = 0; i < 2; i++) {
        if (!old[i]) continue;
        old[i]->is_leaving = true;
        bw_host_lines_retire(old[i]);
        bw_host_renew_done(old[i]);
    }
}

static void take(struct bw_plugin_host *host)
{
    struct bw_plugin_candidate *candidate = host->candidate;
    struct bw_plugin_process *process = candidate->process;
    retire(host);
    bool is_there = is_to_be(candidate);
    if (is_there || host->was_ready)
        bw_log(BW_LOG_INFO, is_there ? "plugin.changed" : "plugin.removed", BW_STR("plugin", bw_host_name(host)), BW_STR("message", candidate->why));
    host->is_misconfigured = !is_there;
    host->is_doubted = false;
    host->again_us = 0;
    host->was_ready = is_there;
    host->state = BW_HOST_REFUSED;
    if (candidate->build) {
        bw_plugin_build_unref(host->build);
        host->build = bw_plugin_build_ref(candidate->build);
        memset(host->crashes_us, 0, sizeof host->crashes_us); /* those were another one's */
        host->rests = 0;
        host->renewed_us = 0;
    }
    candidate->process = NULL;
    bw_host_candidate_free(host);
    if (!host->was_ready) return;
    if (process && process->process) {
        host->current = process;
        host->state = BW_HOST_READY;
        bw_host_health_begin(host);
    } else { /* it was ready once */
        bw_host_start(host);
    }
}

void bw_hosts_take(struct bw_dispatch *dispatch)
{
    struct bw_plugin_host *host;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (host->candidate) take(host);
}

void bw_hosts_drop(struct bw_dispatch *dispatch)
{
    struct bw_plugin_host *host;
    TAILQ_FOREACH(host, &dispatch->hosts, link) bw_host_candidate_free(host);
}
