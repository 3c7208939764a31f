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

#define UNTOLD_MAX 10000       /* more than a worker has at once: who tells of more makes them up */
#define SOCKET_BYTES (1 << 20) /* a burst of calls or results does not stall either side */

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
    if (call) { /* its process has told that it has it when the line was over */
        call->worker = worker;
        return;
    }
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

struct bw_plugin_call *bw_host_call_of(struct bw_plugin_process *process, const json_t *head)
{
    if (!json_object_get(head, "line")) return bw_host_call_find(process, bw_json_int(head, "call", -1));
    struct bw_plugin_line *line = find(process->host->dispatch, bw_json_int(head, "line", 0));
    return line && line->process == process ? find_call(line, bw_json_int(head, "call", -1)) : NULL;
}

/* False: its worker does not hear any more. */
static bool tell(const struct bw_plugin_line *line, enum bw_message_type type)
{
    char head[40];
    if (!line->worker || line->worker->state != BW_WORKER_LIVE) return false;
    int len = snprintf(head, sizeof head, "{\"line\":%lld}", (long long)line->number);
    return bw_channel_send(line->worker->channel, type, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

/* ---- asking the workers what they are about ---- */

bool bw_host_lines_ask(struct bw_plugin_process *process)
{
    struct bw_plugin_line *line;
    bool is_asking = false;
    if (!process->channel) return false;
    TAILQ_FOREACH(line, &process->lines, link)
    {
        if (!line->is_asked && !line->lost_us) line->is_asked = tell(line, BW_MSG_LINE_ASK);
        is_asking |= line->is_asked;
    }
    if (is_asking) bw_channel_hold(process->channel);
    return is_asking;
}

/* It has, or nothing more will be heard of it. */
static void settle(struct bw_plugin_line *line)
{
    struct bw_plugin_process *process = line->process;
    const struct bw_plugin_line *other;
    if (!line->is_asked) return;
    line->is_asked = false;
    TAILQ_FOREACH(other, &process->lines, link)
    if (other->is_asked) return;
    process->has_asked = process->is_message_held;
    process->is_message_held = false;
    bw_host_output_go_on(process->output);
    if (process->channel) bw_channel_go_on(process->channel);
}

void bw_hosts_line_told(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_plugin_line *line = find_of_worker(worker, head);
    if (line) settle(line);
}

/* ---- its end ---- */

/* The line may be gone after this, with its process. */
static void leave(struct bw_plugin_line *line)
{
    struct bw_plugin_process *process = line->process;
    line->is_left = true;
    bw_host_renew_done(process);
    if (!bw_host_process_settled(process)) settle(line);
}

void bw_host_lines_retire(struct bw_plugin_process *process)
{
    const struct bw_plugin_line *line;
    TAILQ_FOREACH(line, &process->lines, link)
    if (!line->is_left) tell(line, BW_MSG_LINE_RETIRED);
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

bool bw_host_lines_ended(const struct bw_plugin_process *process)
{
    const struct bw_plugin_line *line;
    TAILQ_FOREACH(line, &process->lines, link)
    if (line->worker && !line->lost_us) return false;
    return true;
}

bool bw_host_lines_are_lost(const struct bw_plugin_process *process, int64_t before_us)
{
    const struct bw_plugin_line *line;
    TAILQ_FOREACH(line, &process->lines, link)
    if (line->lost_us && line->lost_us < before_us) return true;
    return false;
}

static struct bw_plugin_line *line_of_worker(const struct bw_run_worker *worker)
{
    struct bw_plugin_host *host;
    struct bw_plugin_process *process;
    struct bw_plugin_line *line;
    TAILQ_FOREACH(host, &worker->dispatch->hosts, link)
    TAILQ_FOREACH(process, &host->processes, link)
    TAILQ_FOREACH(line, &process->lines, link)
    if (line->worker == worker) return line;
    return NULL;
}

/* Both its worker and its process have left it: nobody will tell. */
static void forget_what_is_over(const struct bw_plugin_line *line)
{
    struct bw_plugin_process *process = line->process;
    struct bw_plugin_call *call, *next;
    for (call = TAILQ_FIRST(&process->calls); call; call = next) {
        next = TAILQ_NEXT(call, link);
        if (call->line == line && !call->is_open) bw_host_call_forget(process, call);
    }
}

void bw_host_lines_worker_lost(struct bw_run_worker *worker)
{
    struct bw_plugin_line *line;
    while ((line = line_of_worker(worker))) { /* each may take its process with it */
        line->worker = NULL;
        if (line->is_over) forget_what_is_over(line);
        leave(line);
    }
}

bool bw_host_line_is_deaf(struct bw_plugin_process *process, const json_t *head)
{
    const struct bw_plugin_line *line = find(process->host->dispatch, bw_json_int(head, "line", 0));
    return line && line->process == process && !line->worker;
}

static bool is_listed(const json_t *numbers, int64_t number)
{
    size_t index;
    json_t *value;
    json_array_foreach(numbers, index, value) if (json_integer_value(value) == number) return true;
    return false;
}

/* Those of which its worker had not told yet have to end as well. */
static void add_untold(struct bw_plugin_line *line, const json_t *numbers)
{
    struct bw_plugin_call *call;
    size_t index;
    json_t *value;
    json_array_foreach(numbers, index, value)
    {
        int64_t number = json_integer_value(value);
        if (index >= UNTOLD_MAX || find_call(line, number) || !(call = bw_host_call_add(line->process, BW_SLICE("{}")))) continue;
        call->line = line;
        call->worker_call = number;
        call->is_open = true;
        bw_host_call_cancel(line->process, call, BW_HOST_GRACE_MS);
    }
}

void bw_host_line_over(struct bw_plugin_process *process, const json_t *head)
{
    struct bw_plugin_line *line = find(process->host->dispatch, bw_json_int(head, "line", 0));
    const json_t *numbers = json_object_get(head, "calls");
    struct bw_plugin_call *call;
    if (!line || line->process != process || line->is_over) return;
    line->is_over = true;
    TAILQ_FOREACH(call, &process->calls, link)
    if (call->line == line) call->is_open = is_listed(numbers, call->worker_call);
    add_untold(line, numbers);
    if (!line->worker) forget_what_is_over(line);
}

void bw_host_lines_free(struct bw_plugin_process *process)
{
    struct bw_plugin_line *line;
    while ((line = TAILQ_FIRST(&process->lines))) {
        TAILQ_REMOVE(&process->lines, line, link);
        free(line);
    }
}
