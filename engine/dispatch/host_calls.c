/* Calls of plugins: from a worker to the process that takes them, and what came of them back again. */
#include "base/clock.h"
#include "base/log.h"
#include "config/secrets.h"
#include "dispatch/hosts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- results back to the worker ---- */

static void answer(struct bw_plugin_call *call, const char *outcome, const json_t *error, bool is_doubtful, const struct bw_slice *output)
{
    if (!call->worker || call->worker->state != BW_WORKER_LIVE) return;
    struct bw_buf head = {0};
    bw_buf_printf(&head, "{\"call\":%lld,\"outcome\":", (long long)call->worker_call);
    bw_buf_append_json_string(&head, bw_slice_of(outcome));
    if (error) {
        bw_buf_append_text(&head, ",\"error\":");
        bw_json_append(&head, error);
    }
    if (is_doubtful) bw_buf_append_text(&head, ",\"doubtful\":true");
    if (output) bw_buf_append_text(&head, ",\"output_part\":0");
    bw_buf_append_char(&head, '}');
    if (!head.failed) bw_channel_send(call->worker->channel, BW_MSG_CALL_RESULT, bw_buf_slice(&head), output, output ? 1 : 0);
    bw_buf_free(&head);
}

static void answer_pending(const struct bw_plugin_call *call, int64_t within_ms)
{
    char head[96];
    if (!call->worker || call->worker->state != BW_WORKER_LIVE) return;
    int len =
        snprintf(head, sizeof head, "{\"call\":%lld,\"outcome\":\"pending\",\"within_ms\":%lld}", (long long)call->worker_call, (long long)within_ms);
    bw_channel_send(call->worker->channel, BW_MSG_CALL_RESULT, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

struct bw_plugin_call *bw_host_call_add(struct bw_plugin_process *process, struct bw_slice about)
{
    struct bw_plugin_call *call = calloc(1, sizeof *call);
    if (!call || !(call->about = bw_slice_dup(about))) {
        free(call);
        return NULL;
    }
    call->id = ++process->host->dispatch->next_call;
    TAILQ_INSERT_TAIL(&process->calls, call, link);
    return call;
}

struct bw_plugin_call *bw_host_call_new(struct bw_plugin_process *process, struct bw_slice about)
{
    if (bw_host_lines_left(process)) bw_host_output_flush(process->output); /* else whose it is has to be asked */
    return bw_host_call_add(process, about);
}

void bw_host_call_forget(struct bw_plugin_process *process, struct bw_plugin_call *call)
{
    TAILQ_REMOVE(&process->calls, call, link);
    if (call->is_health) bw_host_health_over(process->host, call);
    free(call->about);
    free(call);
    bw_host_renew_done(process);
}

static void call_free(struct bw_plugin_process *process, struct bw_plugin_call *call)
{
    bw_host_output_flush(process->output);
    bw_host_call_forget(process, call);
}

void bw_host_call_answer_error(struct bw_plugin_call *call, const char *outcome, const struct bw_error *err, const char *class, bool is_doubtful)
{
    json_t *error = bw_dispatch_error_json(err, class);
    answer(call, outcome, error, is_doubtful, NULL);
    json_decref(error);
}

struct bw_plugin_call *bw_host_call_find(struct bw_plugin_process *process, int64_t id)
{
    struct bw_plugin_call *call;
    TAILQ_FOREACH(call, &process->calls, link)
    if (call->id == id && !call->line) break;
    return call;
}

bool bw_host_call_result(struct bw_plugin_process *process, const struct bw_message *message)
{
    struct bw_plugin_call *call = bw_host_call_of(process, message->head);
    const char *outcome = bw_json_str(message->head, "outcome", "fail");
    if (!call) return bw_host_line_is_deaf(process, message->head);
    if (call->is_health)
        bw_host_health_answered(process->host, call, message->head);
    else if (!strcmp(outcome, "retry"))
        bw_host_health_doubt(process->host);
    if (!strcmp(outcome, "pending"))
        answer_pending(call, bw_json_int(message->head, "within_ms", 0));
    else
        answer(call, outcome, json_object_get(message->head, "error"), bw_json_bool(message->head, "doubtful", false),
               bw_message_part(message, message->head, "output_part"));
    call_free(process, call);
    return true;
}

void bw_host_call_beat(struct bw_plugin_process *process, int64_t id)
{
    const struct bw_plugin_call *call = bw_host_call_find(process, id);
    char head[48];
    if (!call || !call->worker || call->worker->state != BW_WORKER_LIVE) return;
    int len = snprintf(head, sizeof head, "{\"call\":%lld}", (long long)call->worker_call);
    bw_channel_send(call->worker->channel, BW_MSG_CALL_BEAT, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

void bw_host_calls_fail(struct bw_plugin_process *process)
{
    struct bw_plugin_call *call;
    struct bw_error err;
    bw_error_set(&err, "plugin.crashed", "the plugin's process ended while it worked on this step (%s%s%s)", process->end.how,
                 *process->end.frames ? " in " : "", process->end.frames);
    if (*process->end.frames) bw_error_hint(&err, "for a line of the source: addr2line -f -e %s OFFSET", process->host->path);
    while ((call = TAILQ_FIRST(&process->calls))) {
        bw_host_call_answer_error(call, "retry", &err, "transient", true);
        call_free(process, call);
    }
}

void bw_host_calls_drop(struct bw_plugin_process *process)
{
    struct bw_plugin_call *call;
    while ((call = TAILQ_FIRST(&process->calls))) call_free(process, call);
}

/* ---- calls ---- */

static const json_t *find_action(const struct bw_plugin_host *host, struct bw_slice name)
{
    const json_t *actions = json_object_get(host->build->manifest, "actions");
    size_t index;
    json_t *action;
    json_array_foreach(actions, index, action) if (bw_slice_equal(bw_json_slice(json_object_get(action, "name")), name)) return action;
    return NULL;
}

/* Those that the workflow grants to this action, and those that the instance's configuration grants to the plugin. */
json_t *bw_host_call_secrets(const struct bw_plugin_process *process, const json_t *names)
{
    const struct bw_dispatch *dispatch = process->host->dispatch;
    json_t *values = json_object();
    bw_secrets_append_named(dispatch->secrets, dispatch->secret_count, names, values);
    bw_secrets_append_named(dispatch->secrets, dispatch->secret_count, process->build->settings.secrets, values);
    return values;
}

static void answer_missing(struct bw_plugin_call *call, const struct bw_plugin_host *host, struct bw_slice action, struct bw_slice about)
{
    struct bw_error err;
    json_t *said = bw_json_load(about, NULL);
    bw_error_set(&err, "action.missing", host ? "the plugin of %.*s was refused" : "no plugin offers %.*s any more", (int)action.len, action.ptr);
    bw_error_hint(&err, "put the plugin back, and the run goes on by itself; or cancel it: bellwire runs cancel %s", bw_json_str(said, "run", "RUN"));
    bw_host_call_answer_error(call, "missing", &err, "transient", false);
    json_decref(said);
}

static void send_execute(const struct bw_plugin_process *process, const struct bw_plugin_call *call, struct bw_slice action,
                         const json_t *secret_names, const struct bw_slice parts[2])
{
    struct bw_buf head = {0};
    json_t *secrets = bw_host_call_secrets(process, secret_names);
    bw_buf_printf(&head, "{\"call\":%lld,\"input_part\":0,\"about_part\":1,\"action\":", (long long)call->id);
    bw_buf_append_json_string(&head, action);
    bw_buf_append_text(&head, ",\"secrets\":");
    bw_json_append(&head, secrets);
    bw_buf_append_char(&head, '}');
    if (!head.failed) bw_channel_send(process->channel, BW_MSG_HOST_EXECUTE, bw_buf_slice(&head), parts, 2);
    bw_buf_free(&head);
    json_decref(secrets);
}

void bw_hosts_call(struct bw_run_worker *worker, const struct bw_message *message)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    const json_t *head = message->head;
    struct bw_slice full = bw_json_slice(json_object_get(head, "action"));
    const char *at = full.len ? memchr(full.ptr, '@', full.len) : NULL;
    struct bw_slice name = {full.ptr, at ? (size_t)(at - full.ptr) : full.len};
    struct bw_plugin_call unknown = {.worker = worker, .worker_call = bw_json_int(head, "call", -1)}, *call;
    const struct bw_slice *input = bw_message_part(message, head, "input_part"), *about = bw_message_part(message, head, "about_part");
    struct bw_plugin_host *host;
    struct bw_error err;

    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (find_action(host, name)) break;
    if (!input || !about) {
        bw_error_set(&err, "plugin.call", "a worker has called %.*s without an input", (int)full.len, full.ptr);
        bw_host_call_answer_error(&unknown, "fail", &err, "bug", false);
        return;
    }
    bool is_refused = host && (host->state == BW_HOST_REFUSED || (host->state == BW_HOST_LOADING && host->is_doubted));
    if (!host || is_refused) { /* only of a run that began when it was there, or when it could be used */
        answer_missing(&unknown, host, full, *about);
        return;
    }
    struct bw_plugin_process *process = host->current;
    if (host->state == BW_HOST_RESTING || !process || !process->channel) {
        bw_error_set(&err, "plugin.resting", "the plugin %s crashed too often and rests for a while", bw_host_name(host));
        bw_host_call_answer_error(&unknown, "retry", &err, "transient", false);
        return;
    }
    if (!(call = bw_host_call_new(process, *about))) {
        bw_error_set(&err, "memory", "out of memory");
        bw_host_call_answer_error(&unknown, "retry", &err, "transient", false);
        return;
    }
    call->worker = worker;
    call->worker_call = unknown.worker_call;
    send_execute(process, call, name, json_object_get(head, "secrets"), (const struct bw_slice[]){*input, *about});
    bw_host_line_give(process, worker); /* for those that follow */
    bw_host_renew_called(process);
}

static void cancel(struct bw_plugin_process *process, struct bw_plugin_call *call, int64_t grace_ms, bool is_kept)
{
    int64_t kill_at_us = bw_clock_mono_us() + grace_ms * 1000;
    bool is_told = call->kill_at_us != 0;
    char head[48];
    int len = snprintf(head, sizeof head, "{\"call\":%lld}", (long long)call->id);
    if (!is_told || kill_at_us < call->kill_at_us) call->kill_at_us = kill_at_us;
    if (!is_kept) call->worker = NULL;
    if (!is_told && process->channel && !call->line)
        bw_channel_send(process->channel, BW_MSG_HOST_CANCEL, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

void bw_host_call_cancel(struct bw_plugin_process *process, struct bw_plugin_call *call, int64_t grace_ms)
{
    cancel(process, call, grace_ms, false);
}

void bw_hosts_cancel(struct bw_run_worker *worker, const json_t *head)
{
    int64_t id = bw_json_int(head, "call", -1);
    struct bw_plugin_host *host;
    struct bw_plugin_process *process;
    struct bw_plugin_call *call;
    TAILQ_FOREACH(host, &worker->dispatch->hosts, link)
    TAILQ_FOREACH(process, &host->processes, link)
    TAILQ_FOREACH(call, &process->calls, link)
    {
        if (call->worker != worker || call->worker_call != id) continue;
        cancel(process, call, bw_json_int(head, "grace_ms", BW_HOST_GRACE_MS), bw_json_bool(head, "keep", false));
        return;
    }
}

void bw_hosts_cancel_all(struct bw_run_worker *worker)
{
    struct bw_plugin_host *host;
    struct bw_plugin_process *process;
    struct bw_plugin_call *call;
    bw_host_lines_worker_lost(worker);
    TAILQ_FOREACH(host, &worker->dispatch->hosts, link)
    TAILQ_FOREACH(process, &host->processes, link)
    TAILQ_FOREACH(call, &process->calls, link)
    if (call->worker == worker) cancel(process, call, BW_HOST_GRACE_MS, false);
}
