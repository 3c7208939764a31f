/* A plugin's process does not get old: after so many calls, or when it has taken so much memory, another one takes its place. What leaks, leaks for a
 * while only. The old one is there until the new one is ready, and then until its own calls are done: no call waits for the change, and none is lost.
 */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/hosts.h"
#include <sys/stat.h>

#define CALLS_MAX 1000
#define GROWTH_BYTES_MIN ((size_t)64 << 20) /* a small one may double without being a leak */
#define LOOK_US 1000000LL                   /* at its memory */
#define APART_US (10 * 1000000LL)           /* a busy plugin keeps its connections for so long, however many its calls are */
#define PROCESSES_MAX 8                     /* with those that still have calls */

static void renew(struct bw_plugin_host *host, const char *why)
{
    const struct bw_plugin_process *process;
    int64_t now = bw_clock_mono_us();
    struct bw_error err;
    size_t count = 0;
    if (host->state != BW_HOST_READY || !host->current->process || host->next || (host->renewed_us && now - host->renewed_us < APART_US)) return;
    TAILQ_FOREACH(process, &host->processes, link) count++;
    if (count >= PROCESSES_MAX) return;
    host->renewed_us = host->started_us = now;
    bw_log(BW_LOG_INFO, "plugin.renewed", BW_STR("plugin", bw_host_name(host)), BW_INT("calls", host->current->served),
           BW_INT("resident_bytes", bw_process_resident_bytes(host->current->process)), BW_INT("loaded_bytes", host->current->loaded_bytes),
           BW_STR("message", why));
    if (!(host->next = bw_host_process_start(host, host->build, &err))) bw_log_error(BW_LOG_WARN, "plugin.not_renewed", &err);
}

void bw_host_renew_called(struct bw_plugin_process *process)
{
    if (++process->served >= CALLS_MAX) renew(process->host, "it has had its calls: a new process follows");
}

void bw_host_renew_done(struct bw_plugin_process *process)
{
    if (process->is_leaving && process->process && TAILQ_EMPTY(&process->calls) && bw_host_lines_left(process)) bw_host_process_leave(process);
}

bool bw_host_renew_ready(struct bw_plugin_process *process)
{
    struct bw_plugin_host *host = process->host;
    struct bw_plugin_process *old = host->current;
    if (process != host->next) return false;
    host->current = process;
    host->next = NULL;
    bw_host_health_begin(host);
    old->is_leaving = true;
    bw_host_lines_retire(old);
    bw_host_renew_done(old);
    return true;
}

bool bw_host_renew_failed(struct bw_plugin_process *process)
{
    struct bw_plugin_host *host = process->host;
    bool was_next = process == host->next;
    if (was_next) host->next = NULL;
    if (process->is_unwanted) return true;
    if (was_next || (process->is_leaving && (!process->has_left || *process->why)))
        bw_log(BW_LOG_WARN, was_next ? "plugin.not_renewed" : "plugin.crashed", BW_STR("plugin", bw_host_name(host)),
               BW_STR("how", process->end.how));
    return was_next || process->is_leaving;
}

/* Its name servers: a process may open the file that was there when it started, and no other that has taken its place since. */
int64_t bw_host_resolver_version(void)
{
    struct stat info;
    return stat("/etc/resolv.conf", &info) ? 0 : (int64_t)info.st_ino;
}

static bool needs_network(const struct bw_plugin_process *process)
{
    size_t index;
    json_t *need;
    json_array_foreach(process->needs, index, need) if (bw_slice_is(bw_json_slice(need), "network")) return true;
    return false;
}

void bw_host_renew_watch(struct bw_plugin_host *host, int64_t now_us)
{
    const struct bw_plugin_process *current = host->current;
    if (host->next && bw_process_is_late(host->next->process, host->started_us, BW_HOST_LOAD_MS))
        bw_host_process_kill(host->next, "it did not finish loading");
    if (host->state != BW_HOST_READY || now_us - host->looked_us < LOOK_US) return;
    size_t bytes = bw_process_resident_bytes(current->process), loaded = current->loaded_bytes;
    host->looked_us = now_us;
    if (loaded && bytes > 2 * loaded && bytes > loaded + GROWTH_BYTES_MIN) renew(host, "its memory has grown: a new process follows");
    if (needs_network(current) && current->resolver != bw_host_resolver_version())
        renew(host, "/etc/resolv.conf is another file: a new process follows");
}
