/* Plugin hosts: one process per compiled plugin. A host that crashes, hangs or will not load costs the calls it had, nothing else. */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_FRAME_BYTES_MAX (16u << 20)
#define CRASHES_BEFORE_REST 5 /* reliability.md (h): five within a minute, then back off */
#define CRASH_WINDOW_US (60 * 1000000LL)
#define REST_FIRST_US (1 * 1000000LL)
#define REST_MAX_US (300 * 1000000LL)

static bool start_host(struct bw_plugin_host *host, struct bw_error *err);

static const char *plugin_name(const struct bw_plugin_host *host)
{
    const char *slash = strrchr(host->path, '/');
    return slash ? slash + 1 : host->path;
}

static void refuse(struct bw_plugin_host *host, const struct bw_error *err)
{
    host->state = BW_HOST_REFUSED;
    host->error = *err;
    bw_error_at(&host->error, host->path, 0, 0);
    bw_log_error(BW_LOG_ERROR, "plugin.refused", &host->error);
    bw_catalog_refuse_file(host->dispatch, 0, host->path, &host->error);
    if (host->process) bw_process_kill(host->process);
    bw_dispatch_hosts_settled(host->dispatch);
}

/* ---- results back to the worker ---- */

static void answer(struct bw_plugin_call *call, const char *outcome, const json_t *error, bool is_doubtful, const struct bw_slice *output)
{
    if (!call->worker || call->worker->state != BW_WORKER_LIVE) return;
    json_t *head = json_pack("{s:I,s:s}", "call", (json_int_t)call->worker_call, "outcome", outcome);
    if (error) json_object_set(head, "error", (json_t *)error);
    if (is_doubtful) json_object_set_new(head, "doubtful", json_true());
    if (output) json_object_set_new(head, "output_part", json_integer(0));
    bw_channel_send_json(call->worker->channel, BW_MSG_CALL_RESULT, head, output, output ? 1 : 0);
    json_decref(head);
}

static void answer_pending(const struct bw_plugin_call *call, int64_t within_ms)
{
    char head[96];
    if (!call->worker || call->worker->state != BW_WORKER_LIVE) return;
    int len =
        snprintf(head, sizeof head, "{\"call\":%lld,\"outcome\":\"pending\",\"within_ms\":%lld}", (long long)call->worker_call, (long long)within_ms);
    bw_channel_send(call->worker->channel, BW_MSG_CALL_RESULT, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

static void call_free(struct bw_plugin_host *host, struct bw_plugin_call *call)
{
    TAILQ_REMOVE(&host->calls, call, link);
    free(call);
}

static void answer_error(struct bw_plugin_call *call, const char *outcome, const struct bw_error *err, const char *class, bool is_doubtful)
{
    json_t *error = bw_dispatch_error_json(err, class);
    answer(call, outcome, error, is_doubtful, NULL);
    json_decref(error);
}

static void on_result(struct bw_plugin_host *host, const struct bw_message *message)
{
    struct bw_plugin_call *call;
    int64_t id = bw_json_int(message->head, "call", -1), part = bw_json_int(message->head, "output_part", -1);
    TAILQ_FOREACH(call, &host->calls, link)
    {
        if (call->id != id) continue;
        bool has_output = part >= 0 && (size_t)part < message->part_count;
        const char *outcome = bw_json_str(message->head, "outcome", "fail");
        if (!strcmp(outcome, "pending"))
            answer_pending(call, bw_json_int(message->head, "within_ms", 0));
        else
            answer(call, outcome, json_object_get(message->head, "error"), bw_json_bool(message->head, "doubtful", false),
                   has_output ? &message->parts[part] : NULL);
        call_free(host, call);
        return;
    }
    bw_log(BW_LOG_DEBUG, "plugin.late_result", BW_STR("plugin", plugin_name(host)), BW_INT("call", id)); /* after a timeout: dropped */
}

static void on_beat(struct bw_plugin_host *host, int64_t id)
{
    struct bw_plugin_call *call;
    char head[48];
    TAILQ_FOREACH(call, &host->calls, link)
    if (call->id == id) break;
    if (!call || !call->worker || call->worker->state != BW_WORKER_LIVE) return;
    int len = snprintf(head, sizeof head, "{\"call\":%lld}", (long long)call->worker_call);
    bw_channel_send(call->worker->channel, BW_MSG_CALL_BEAT, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_plugin_host *host = arg;
    struct bw_error err;
    (void)channel;
    switch (message->type) {
    case BW_MSG_HOST_MANIFEST:
        if (host->state != BW_HOST_LOADING) break;
        host->state = BW_HOST_READY;
        if (!host->manifest) host->manifest = json_incref(json_object_get(message->head, "manifest"));
        bw_dispatch_hosts_settled(host->dispatch);
        break;
    case BW_MSG_HOST_REFUSED: {
        const json_t *error = json_object_get(message->head, "error");
        bw_error_set(&err, bw_json_str(error, "code", "plugin.refused"), "%s", bw_json_str(error, "message", "the plugin was refused"));
        bw_error_hint(&err, "%s", bw_json_str(error, "hint", ""));
        refuse(host, &err);
        break;
    }
    case BW_MSG_HOST_RESULT: on_result(host, message); break;
    case BW_MSG_HOST_BEAT: on_beat(host, bw_json_int(message->head, "call", -1)); break;
    case BW_MSG_HOST_LOG:
        bw_log(BW_LOG_INFO, "plugin.log", BW_STR("plugin", plugin_name(host)), BW_STR("message", bw_json_str(message->head, "message", "")));
        break;
    default:
        bw_log(BW_LOG_ERROR, "plugin.protocol", BW_STR("plugin", plugin_name(host)), BW_INT("type", message->type));
        bw_process_kill(host->process);
    }
}

static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    struct bw_plugin_host *host = arg;
    (void)channel;
    bw_log(BW_LOG_DEBUG, "plugin.channel", BW_STR("plugin", plugin_name(host)), BW_STR("reason", reason));
    if (host->process) bw_process_kill(host->process);
}

static void rest_or_restart(struct bw_plugin_host *host)
{
    int64_t now = bw_clock_mono_us();
    struct bw_error err;
    memmove(host->crashes_us, host->crashes_us + 1, (CRASHES_BEFORE_REST - 1) * sizeof *host->crashes_us);
    host->crashes_us[CRASHES_BEFORE_REST - 1] = now;
    if (host->crashes_us[0] && now - host->crashes_us[0] < CRASH_WINDOW_US) {
        int64_t rest = REST_FIRST_US << (host->rests < 9 ? host->rests : 9);
        if (rest > REST_MAX_US) rest = REST_MAX_US;
        host->rests++;
        host->state = BW_HOST_RESTING;
        host->rest_until_us = now + rest;
        bw_log(BW_LOG_WARN, "plugin.resting", BW_STR("plugin", plugin_name(host)), BW_INT("rest_ms", rest / 1000),
               BW_STR("message", "it crashed again and again"));
        return;
    }
    if (!start_host(host, &err)) refuse(host, &err);
}

static void on_ended(struct bw_process *process, int wait_status, const char *how, void *arg)
{
    struct bw_plugin_host *host = arg;
    struct bw_plugin_call *call;
    struct bw_error err;
    (void)wait_status;

    bw_channel_free(host->channel);
    host->channel = NULL;
    host->process = NULL;
    bw_process_free(process);
    if (host->state == BW_HOST_REFUSED) return;
    if (!host->was_ready && host->state == BW_HOST_LOADING) {
        bw_error_set(&err, "plugin.crashed", "the plugin ended its host while it was loaded or initialised (%s)", how);
        bw_error_hint(&err, "call its init() from a small main() under a debugger: a plugin is an ordinary shared object (engine/plugin/README.md)");
        refuse(host, &err);
        return;
    }
    bw_log(BW_LOG_WARN, "plugin.crashed", BW_STR("plugin", plugin_name(host)), BW_STR("how", how));
    bw_error_set(&err, "plugin.crashed", "the plugin's process ended while it worked on this step (%s)", how);
    while ((call = TAILQ_FIRST(&host->calls))) {
        answer_error(call, "retry", &err, "transient", true);
        call_free(host, call);
    }
    rest_or_restart(host);
}

static bool start_host(struct bw_plugin_host *host, struct bw_error *err)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return bw_error_set(err, "process.socketpair", "cannot make a socketpair: %s", strerror(errno));
    host->state = BW_HOST_LOADING;
    host->started_us = bw_clock_mono_us();
    host->process = bw_process_spawn(host->dispatch->base, "host", &pair[1], 1, on_ended, host, err);
    if (!host->process) {
        close(pair[0]);
        return false;
    }
    host->channel = bw_channel_new(host->dispatch->base, pair[0], HOST_FRAME_BYTES_MAX, &handlers, host);
    if (!host->channel) return bw_error_set(err, "memory", "out of memory");
    json_t *head =
        json_pack("{s:s,s:b,s:{}}", "path", host->path, "allow_private_network", host->dispatch->options.config->allow_private_network, "config");
    bw_channel_send_json(host->channel, BW_MSG_HOST_LOAD, head, NULL, 0);
    json_decref(head);
    return true;
}

static bool add_folder(struct bw_dispatch *dispatch, const char *folder, struct bw_error *err)
{
    char **names = NULL;
    size_t count = 0;
    if (!bw_file_list(folder, ".so", false, &names, &count, err)) return false;
    for (size_t i = 0; i < count; i++) {
        struct bw_plugin_host *host = calloc(1, sizeof *host);
        if (!host) break;
        host->dispatch = dispatch;
        host->path = bw_file_join(folder, names[i]);
        TAILQ_INIT(&host->calls);
        TAILQ_INSERT_TAIL(&dispatch->hosts, host, link);
    }
    bw_file_list_free(names, count);
    return true;
}

/* The bundled plugins lie beside the binary in a build tree (plugins/) and under lib/bellwire/plugins when installed. */
static bool add_bundled(struct bw_dispatch *dispatch, struct bw_error *err)
{
    char binary[PATH_MAX], folder[PATH_MAX + 32];
    ssize_t len = readlink("/proc/self/exe", binary, sizeof binary - 1);
    if (len <= 0) return true;
    binary[len] = '\0';
    const char *parent = dirname(binary);
    snprintf(folder, sizeof folder, "%s/plugins", parent);
    if (!add_folder(dispatch, folder, err)) return false;
    snprintf(folder, sizeof folder, "%s/../lib/bellwire/plugins", parent);
    return add_folder(dispatch, folder, err);
}

bool bw_hosts_start(struct bw_dispatch *dispatch, struct bw_error *err)
{
    struct bw_plugin_host *host, *next;
    if (!add_bundled(dispatch, err) || !add_folder(dispatch, dispatch->options.config->plugins, err)) return false;
    for (host = TAILQ_FIRST(&dispatch->hosts); host; host = next) {
        struct bw_error refused;
        next = TAILQ_NEXT(host, link);
        if (!start_host(host, &refused)) refuse(host, &refused);
    }
    return true;
}

bool bw_hosts_all_answered(const struct bw_dispatch *dispatch)
{
    const struct bw_plugin_host *host;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (host->state == BW_HOST_LOADING && !host->manifest) return false;
    return true;
}

void bw_hosts_watch(struct bw_dispatch *dispatch)
{
    struct bw_plugin_host *host;
    struct bw_plugin_call *call;
    struct bw_error err;
    int64_t now = bw_clock_mono_us();
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    {
        if (host->state == BW_HOST_LOADING && !host->was_ready && !host->manifest && now - host->started_us > BW_HOST_LOAD_MS * 1000LL) {
            bw_error_set(&err, "plugin.load_timeout", "the plugin did not finish loading within %d ms", BW_HOST_LOAD_MS);
            bw_error_hint(&err, "init() must return at once: move slow work into the first execute()");
            refuse(host, &err);
        }
        if (host->state == BW_HOST_RESTING && now >= host->rest_until_us && !start_host(host, &err)) refuse(host, &err);
        TAILQ_FOREACH(call, &host->calls, link)
        if (call->kill_at_us && now > call->kill_at_us && host->process) {
            bw_log(BW_LOG_WARN, "plugin.unresponsive", BW_STR("plugin", plugin_name(host)),
                   BW_STR("message", "it did not give up a cancelled call: its process is ended"));
            bw_process_kill(host->process);
            break;
        }
    }
}

/* ---- calls ---- */

static const json_t *find_action(const struct bw_plugin_host *host, struct bw_slice name)
{
    const json_t *actions = json_object_get(host->manifest, "actions");
    size_t index;
    json_t *action;
    json_array_foreach(actions, index, action) if (bw_slice_equal(bw_json_slice(json_object_get(action, "name")), name)) return action;
    return NULL;
}

static json_t *pick_secrets(const struct bw_config *config, const json_t *names)
{
    json_t *values = json_object(), *name;
    size_t index;
    json_array_foreach(names, index, name)
    {
        const struct bw_secret *secret = bw_config_secret(config, bw_json_slice(name));
        if (secret) json_object_set_new(values, secret->name, json_stringn(secret->values[0].ptr, secret->values[0].len));
    }
    return values;
}

void bw_hosts_call(struct bw_run_worker *worker, const struct bw_message *message)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    const json_t *head = message->head;
    struct bw_slice full = bw_json_slice(json_object_get(head, "action"));
    const char *at = full.len ? memchr(full.ptr, '@', full.len) : NULL;
    struct bw_slice name = {full.ptr, at ? (size_t)(at - full.ptr) : full.len};
    struct bw_plugin_call unknown = {.worker = worker, .worker_call = bw_json_int(head, "call", -1)}, *call;
    int64_t part = bw_json_int(head, "input_part", -1);
    struct bw_plugin_host *host;
    struct bw_error err;

    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (find_action(host, name)) break;
    if (part < 0 || (size_t)part >= message->part_count) {
        bw_error_set(&err, "plugin.call", "a worker has called %.*s without an input", (int)full.len, full.ptr);
        answer_error(&unknown, "fail", &err, "bug", false);
        return;
    }
    if (!host || host->state == BW_HOST_REFUSED) { /* only of a run that began when it was there */
        bw_error_set(&err, "action.missing", host ? "the plugin of %.*s was refused" : "no plugin offers %.*s any more", (int)full.len, full.ptr);
        bw_error_hint(&err, "put the plugin back and start the engine again, the run goes on by itself; or cancel it: bellwire runs cancel %s",
                      bw_json_str(head, "run", "RUN"));
        answer_error(&unknown, "missing", &err, "transient", false);
        return;
    }
    if (host->state == BW_HOST_RESTING || !host->channel) {
        bw_error_set(&err, "plugin.resting", "the plugin %s crashed too often and rests for a while", plugin_name(host));
        answer_error(&unknown, "retry", &err, "transient", false);
        return;
    }
    if (!(call = calloc(1, sizeof *call))) {
        bw_error_set(&err, "memory", "out of memory");
        answer_error(&unknown, "retry", &err, "transient", false);
        return;
    }
    call->id = ++dispatch->next_call;
    call->worker = worker;
    call->worker_call = unknown.worker_call;
    TAILQ_INSERT_TAIL(&host->calls, call, link);
    json_t *execute = json_pack("{s:I,s:s%,s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:o,s:i}", "call", (json_int_t)call->id, "action", name.ptr, name.len, "key",
                                bw_json_str(head, "key", ""), "run", bw_json_str(head, "run", ""), "step", bw_json_str(head, "step", ""), "attempt",
                                (json_int_t)bw_json_int(head, "attempt", 1), "timeout_ms", (json_int_t)bw_json_int(head, "timeout_ms", 60000),
                                "heartbeat_ms", (json_int_t)bw_json_int(head, "heartbeat_ms", 0), "once", bw_json_bool(head, "once", false),
                                "secrets", pick_secrets(dispatch->options.config, json_object_get(head, "secrets")), "input_part", 0);
    if (json_object_get(head, "callback_url")) json_object_set(execute, "callback_url", json_object_get(head, "callback_url"));
    bw_channel_send_json(host->channel, BW_MSG_HOST_EXECUTE, execute, &message->parts[part], 1);
    json_decref(execute);
}

static void cancel(struct bw_plugin_host *host, struct bw_plugin_call *call, int64_t grace_ms, bool is_kept)
{
    int64_t kill_at_us = bw_clock_mono_us() + grace_ms * 1000;
    bool is_told = call->kill_at_us != 0;
    char head[48];
    int len = snprintf(head, sizeof head, "{\"call\":%lld}", (long long)call->id);
    if (!is_told || kill_at_us < call->kill_at_us) call->kill_at_us = kill_at_us;
    if (!is_kept) call->worker = NULL;
    if (!is_told && host->channel) bw_channel_send(host->channel, BW_MSG_HOST_CANCEL, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

void bw_hosts_cancel(struct bw_run_worker *worker, const json_t *head)
{
    int64_t id = bw_json_int(head, "call", -1);
    struct bw_plugin_host *host;
    struct bw_plugin_call *call;
    TAILQ_FOREACH(host, &worker->dispatch->hosts, link)
    TAILQ_FOREACH(call, &host->calls, link)
    {
        if (call->worker != worker || call->worker_call != id) continue;
        cancel(host, call, bw_json_int(head, "grace_ms", BW_HOST_GRACE_MS), bw_json_bool(head, "keep", false));
        return;
    }
}

void bw_hosts_cancel_all(struct bw_run_worker *worker)
{
    struct bw_plugin_host *host;
    struct bw_plugin_call *call;
    TAILQ_FOREACH(host, &worker->dispatch->hosts, link)
    TAILQ_FOREACH(call, &host->calls, link)
    if (call->worker == worker) cancel(host, call, BW_HOST_GRACE_MS, false);
}

void bw_hosts_free(struct bw_dispatch *dispatch)
{
    struct bw_plugin_host *host;
    while ((host = TAILQ_FIRST(&dispatch->hosts))) {
        struct bw_plugin_call *call;
        TAILQ_REMOVE(&dispatch->hosts, host, link);
        while ((call = TAILQ_FIRST(&host->calls))) call_free(host, call);
        if (host->channel) bw_channel_free(host->channel);
        bw_process_free(host->process);
        json_decref(host->manifest);
        free(host->path);
        free(host);
    }
}
