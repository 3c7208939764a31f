/* Lines: run workers call the process of a plugin themselves (BW_MSG_LINE), which takes the engine out of the way of a call and of its result. It has
 * the record of every call all the same: whose it is, what is killed when it is not given up, and what is told when the process dies. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/hosts.h"
#include "wire/pass.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_BYTES (1 << 20) /* a burst of calls or results does not stall either side */
#define EARLY_MAX 1000         /* results that were here before their calls: a host that sends more of them makes them up */

static struct bw_plugin_line *find(struct bw_dispatch *dispatch, int64_t number)
{
    struct bw_plugin_host *host;
    struct bw_plugin_process *process;
    struct bw_plugin_line *line;
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    TAILQ_FOREACH(process, &host->processes, link)
    TAILQ_FOREACH(line, &process->lines, link)
    if (line->number == number) return line;
    return NULL;
}

static struct bw_plugin_line *find_of_worker(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_plugin_line *line = find(worker->dispatch, bw_json_int(head, "line", 0));
    return line && line->worker == worker ? line : NULL;
}

static struct bw_plugin_call *find_call(const struct bw_plugin_line *line, int64_t number)
{
    struct bw_plugin_call *call;
    TAILQ_FOREACH(call, &line->process->calls, link)
    if (call->line == line && call->worker_call == number) break;
    return call;
}

/* ---- a line's beginning ---- */

static json_t *names_of_actions(const struct bw_plugin_host *host)
{
    json_t *names = json_array(), *action;
    size_t index;
    json_array_foreach(json_object_get(host->build->manifest, "actions"), index, action) json_array_append(names, json_object_get(action, "name"));
    return names;
}

/* Whoever gets an end whose other one has gone nowhere sees it closed. */
static bool pass_ends(const struct bw_plugin_process *process, const struct bw_run_worker *worker, int64_t number)
{
    int pair[2], bytes = SOCKET_BYTES;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) return false;
    for (int i = 0; i < 2; i++) setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    bool passed = bw_pass_send(process->lines_socket, number, pair[0]) && bw_pass_send(worker->lines_socket, number, pair[1]);
    close(pair[0]);
    close(pair[1]);
    return passed;
}

void bw_host_line_give(struct bw_plugin_process *process, struct bw_run_worker *worker)
{
    struct bw_dispatch *dispatch = process->host->dispatch;
    struct bw_plugin_line *line;
    if (!process->is_ready || process->is_leaving || !process->channel || worker->state != BW_WORKER_LIVE || dispatch->trial) return;
    TAILQ_FOREACH(line, &process->lines, link)
    if (line->worker == worker) return;
    if (!(line = calloc(1, sizeof *line))) return;
    line->number = ++dispatch->next_line;
    line->process = process;
    line->worker = worker;
    if (!pass_ends(process, worker, line->number)) { /* calls go through the engine as before */
        free(line);
        return;
    }
    TAILQ_INSERT_TAIL(&process->lines, line, link);
    json_t *head = json_pack("{s:I,s:o,s:O*}", "line", (json_int_t)line->number, "actions", names_of_actions(process->host), "secrets",
                             process->build->settings.secrets);
    bw_channel_send_json(worker->channel, BW_MSG_LINE, head, NULL, 0);
    json_decref(head);
}

/* ---- calls on it ---- */

static void tell_lost(struct bw_run_worker *worker, int64_t number)
{
    struct bw_plugin_call call = {.worker = worker, .worker_call = number};
    struct bw_error err;
    bw_error_set(&err, "plugin.crashed", "the plugin's process ended when this step was handed to it");
    bw_host_call_answer_error(&call, "retry", &err, "transient", true);
}

void bw_hosts_call_on_line(struct bw_run_worker *worker, const struct bw_message *message)
{
    struct bw_plugin_line *line = find_of_worker(worker, message->head);
    const struct bw_slice *about = bw_message_part(message, message->head, "about_part");
    int64_t number = bw_json_int(message->head, "call", -1);
    struct bw_plugin_call *call = line ? find_call(line, number) : NULL;
    if (call && call->is_early) {
        bw_host_call_forget(line->process, call);
        return;
    }
    if (line && line->is_over) return; /* it died with its worker */
    if (!line || !about || !(call = bw_host_call_add(line->process, *about))) {
        tell_lost(worker, number);
        return;
    }
    call->line = line;
    call->worker = worker;
    call->worker_call = number;
    bw_host_renew_called(line->process);
}

void bw_hosts_call_over(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_plugin_line *line = find_of_worker(worker, head);
    struct bw_plugin_call *call = line ? find_call(line, bw_json_int(head, "call", -1)) : NULL;
    if (line && !call && !line->is_over) bw_host_process_kill(line->process, "it has answered a call that it does not have");
    if (!call) return;
    if (bw_json_bool(head, "failed", false)) bw_host_health_doubt(line->process->host);
    bw_host_output_end_line(line->process->output); /* the host has seen to it that nothing of this call was in the pipe any more */
    bw_host_call_forget(line->process, call);
}

/* What the worker has said before it made the call may still be in its socket. */
static struct bw_plugin_call *find_call_soon(const struct bw_plugin_process *process, const json_t *head)
{
    struct bw_dispatch *dispatch = process->host->dispatch;
    int64_t number = bw_json_int(head, "line", 0), of_worker = bw_json_int(head, "call", -1);
    struct bw_plugin_line *line = find(dispatch, number);
    if (!line || line->process != process) return NULL;
    struct bw_plugin_call *call = find_call(line, of_worker);
    if (call || of_worker < 0 || !line->worker) return call;
    bw_channel_read_now(line->worker->channel);
    return find_call(line, of_worker);
}

struct bw_plugin_call *bw_host_call_of(struct bw_plugin_process *process, const json_t *head)
{
    if (json_object_get(head, "line")) return find_call_soon(process, head);
    return bw_host_call_find(process, bw_json_int(head, "call", -1));
}

struct bw_plugin_call *bw_host_call_early(struct bw_plugin_process *process, const json_t *head)
{
    struct bw_plugin_line *line = find(process->host->dispatch, bw_json_int(head, "line", 0));
    if (!line || line->process != process || !line->worker || line->early >= EARLY_MAX) return NULL;
    struct bw_plugin_call *call = bw_host_call_add(process, BW_SLICE("{}"));
    if (!call) return NULL;
    line->early++;
    call->is_early = true;
    call->line = line;
    call->worker = line->worker;
    call->worker_call = bw_json_int(head, "call", -1);
    return call;
}

/* ---- its end ---- */

static void leave(struct bw_plugin_line *line)
{
    struct bw_plugin_call *call, *next;
    line->is_left = true;
    for (call = TAILQ_FIRST(&line->process->calls); call; call = next) {
        next = TAILQ_NEXT(call, link);
        if (call->line == line && call->is_early) bw_host_call_forget(line->process, call); /* the word of it does not come any more */
    }
    bw_host_renew_done(line->process);
}

void bw_host_lines_retire(struct bw_plugin_process *process)
{
    const struct bw_plugin_line *line;
    char head[40];
    TAILQ_FOREACH(line, &process->lines, link)
    {
        if (line->is_left || !line->worker || line->worker->state != BW_WORKER_LIVE) continue;
        int len = snprintf(head, sizeof head, "{\"line\":%lld}", (long long)line->number);
        bw_channel_send(line->worker->channel, BW_MSG_LINE_RETIRED, (struct bw_slice){head, (size_t)len}, NULL, 0);
    }
}

bool bw_host_lines_left(const struct bw_plugin_process *process)
{
    const struct bw_plugin_line *line;
    TAILQ_FOREACH(line, &process->lines, link)
    if (!line->is_left) return false;
    return true;
}

void bw_hosts_line_left(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_plugin_line *line = find_of_worker(worker, head);
    if (line) leave(line);
}

void bw_hosts_line_lost(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_plugin_line *line = find_of_worker(worker, head);
    const char *reason = bw_json_str(head, "why", "closed");
    char why[120];
    if (!line) return;
    line->lost_us = bw_clock_mono_us(); /* that is how we hear of the process's end sometimes: bw_host_process_watch() sees to it that it comes */
    if (strcmp(reason, "closed") != 0) {
        snprintf(why, sizeof why, "it has sent garbage: %s", reason);
        bw_host_process_kill(line->process, why);
    }
    leave(line);
}

bool bw_host_lines_are_lost(const struct bw_plugin_process *process, int64_t before_us)
{
    const struct bw_plugin_line *line;
    TAILQ_FOREACH(line, &process->lines, link)
    if (line->lost_us && line->lost_us < before_us) return true;
    return false;
}

void bw_host_lines_worker_lost(struct bw_run_worker *worker)
{
    struct bw_plugin_host *host;
    struct bw_plugin_process *process;
    struct bw_plugin_line *line;
    TAILQ_FOREACH(host, &worker->dispatch->hosts, link)
    TAILQ_FOREACH(process, &host->processes, link)
    TAILQ_FOREACH(line, &process->lines, link)
    {
        if (line->worker != worker) continue;
        line->worker = NULL;
        leave(line);
        break; /* one process has one of each worker */
    }
}

bool bw_host_line_is_over(struct bw_plugin_process *process, const json_t *head)
{
    const struct bw_plugin_line *line = find(process->host->dispatch, bw_json_int(head, "line", 0));
    return line && line->process == process && line->is_over;
}

static bool is_listed(const json_t *numbers, int64_t number)
{
    size_t index;
    json_t *value;
    json_array_foreach(numbers, index, value) if (json_integer_value(value) == number) return true;
    return false;
}

void bw_host_line_over(struct bw_plugin_process *process, const json_t *head)
{
    struct bw_plugin_line *line = find(process->host->dispatch, bw_json_int(head, "line", 0));
    struct bw_plugin_call *call, *next;
    if (!line || line->process != process || line->is_over) return;
    if (line->worker) bw_channel_read_now(line->worker->channel); /* of what it has called, too, whoever hears of its end first */
    line->is_over = true;
    for (call = TAILQ_FIRST(&process->calls); call; call = next) {
        next = TAILQ_NEXT(call, link);
        if (call->line == line && !is_listed(json_object_get(head, "calls"), call->worker_call)) bw_host_call_forget(process, call);
    }
}

void bw_host_lines_hear(struct bw_plugin_process *process)
{
    struct bw_plugin_line *line;
    TAILQ_FOREACH(line, &process->lines, link)
    if (line->worker) bw_channel_read_now(line->worker->channel);
}

void bw_host_lines_free(struct bw_plugin_process *process)
{
    struct bw_plugin_line *line;
    while ((line = TAILQ_FIRST(&process->lines))) {
        TAILQ_REMOVE(&process->lines, line, link);
        free(line);
    }
}
