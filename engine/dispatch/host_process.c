/* One process of a plugin: its start, what it says, its end. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/hosts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define END_MS 1000 /* between the end of a process and the end of what it says, whichever comes first */

void bw_host_process_kill(struct bw_plugin_process *process, const char *why)
{
    if (!process->process) return;
    if (!*process->why) snprintf(process->why, sizeof process->why, "%s", why);
    bw_process_kill(process->process);
}

void bw_host_process_free(struct bw_plugin_process *process)
{
    TAILQ_REMOVE(&process->host->processes, process, link);
    if (process->channel) bw_channel_free(process->channel);
    bw_process_free(process->process);
    bw_host_output_free(process->output);
    if (process->report >= 0) close(process->report);
    if (process->lines_socket >= 0) close(process->lines_socket);
    bw_host_lines_free(process);
    bw_plugin_build_unref(process->build);
    json_decref(process->needs);
    free(process);
}

/* It has ended, and there is nothing of it left to read. */
static void bury(struct bw_plugin_process *process)
{
    bw_host_output_flush(process->output);
    bw_host_calls_fail(process);
    bw_host_process_lost(process);
    bw_host_process_free(process);
}

/* Those who call it have seen its end as well: what it had still answered was read there, and all that was begun there is known here. */
bool bw_host_process_settled(struct bw_plugin_process *process)
{
    if (process->process || process->channel || !bw_host_lines_ended(process)) return false;
    bury(process);
    return true;
}

/* Of the machine, not of the plugin: once. */
static void tell_what_is_open(const struct bw_plugin_process *process, const char *open)
{
    struct bw_dispatch *dispatch = process->host->dispatch;
    if (!open || dispatch->has_told_open) return;
    dispatch->has_told_open = true;
    bw_log(BW_LOG_WARN, "plugin.not_confined", BW_STR("plugin", bw_host_name(process->host)), BW_STR("message", open));
}

/* A plugin that has found the connection of its host could say later that it offers what another one does, and be given that one's calls and secrets.
 */
static bool is_in_turn(const struct bw_plugin_process *process, unsigned type)
{
    if (type == BW_MSG_HOST_MANIFEST) return !process->is_loaded;
    if (type == BW_MSG_HOST_READY) return process->is_loaded && !process->is_ready;
    return type != BW_MSG_HOST_REFUSED || !process->is_ready;
}

/* What is said of a call is worth nothing before its worker has told of it; and with an end of one it has to be known who else may have printed. */
static bool has_to_wait(struct bw_plugin_process *process, const struct bw_message *message)
{
    bool has_asked = process->has_asked;
    process->has_asked = false;
    if (has_asked || (message->type != BW_MSG_HOST_RESULT && message->type != BW_MSG_HOST_LOG)) return false;
    if (message->type == BW_MSG_HOST_LOG && (!json_object_get(message->head, "line") || bw_host_call_of(process, message->head))) return false;
    return process->is_message_held = bw_host_lines_ask(process);
}

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_plugin_process *process = arg;
    struct bw_error err;
    (void)channel;
    if (has_to_wait(process, message)) return;
    if (!is_in_turn(process, message->type)) {
        bw_host_process_kill(process, "it has sent a message out of turn");
        return;
    }
    switch (message->type) {
    case BW_MSG_HOST_MANIFEST:
        process->is_loaded = true;
        tell_what_is_open(process, bw_json_str(message->head, "open", NULL));
        process->has_health = bw_json_bool(message->head, "has_health", false);
        bw_host_loaded(process, json_object_get(message->head, "manifest"));
        break;
    case BW_MSG_HOST_READY: bw_host_ready(process); break;
    case BW_MSG_HOST_REFUSED: {
        const json_t *error = json_object_get(message->head, "error");
        bw_error_set(&err, bw_json_str(error, "code", "plugin.refused"), "%s", bw_json_str(error, "message", "the plugin was refused"));
        bw_error_hint(&err, "%s", bw_json_str(error, "hint", ""));
        bw_host_process_refused(process, &err);
        break;
    }
    case BW_MSG_HOST_RESULT:
        if (!bw_host_call_result(process, message)) bw_host_process_kill(process, "it has answered a call that it does not have");
        break;
    case BW_MSG_HOST_BEAT: bw_host_call_beat(process, bw_json_int(message->head, "call", -1)); break;
    case BW_MSG_HOST_LINE_OVER: bw_host_line_over(process, message->head); break;
    case BW_MSG_HOST_LOG:
        bw_host_output_log(process->output, bw_host_call_of(process, message->head), bw_json_str(message->head, "level", "info"),
                           bw_json_str(message->head, "message", ""));
        break;
    default: bw_host_process_kill(process, "it has sent a message that there is not");
    }
}

static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    struct bw_plugin_process *process = arg;
    char why[sizeof process->why];
    bw_channel_free(channel);
    process->channel = NULL;
    process->silent_at_us = bw_clock_mono_us();
    if (!process->process) {
        bw_host_process_settled(process);
    } else if (strcmp(reason, "closed") != 0) {
        snprintf(why, sizeof why, "it has sent garbage: %s", reason);
        bw_host_process_kill(process, why);
    } /* else: that is how we hear of its end mostly; bw_host_process_watch() sees to it that it comes */
}

static void tell_not_started(struct bw_plugin_process *process, const char *reason)
{
    struct bw_error err;
    snprintf(process->end.how, sizeof process->end.how, "it could not be started: %s", reason);
    bw_error_set(&err, "process.spawn", "cannot start a process for the plugin: %s", reason);
    bw_error_hint(&err, "check the limits on processes and open files (ulimit -u, ulimit -n)");
    bw_host_process_refused(process, &err);
}

static void on_ended(struct bw_process *ended, int wait_status, const char *how, void *arg)
{
    struct bw_plugin_process *process = arg;
    bw_process_free(ended);
    process->process = NULL;
    process->ended_at_us = bw_clock_mono_us();
    if (wait_status == BW_PROCESS_NOT_STARTED)
        tell_not_started(process, how);
    else
        bw_host_end_read(process->report, process->host->path, wait_status, process->why, &process->end);
    bw_host_process_settled(process); /* else it may have ended a call before its end, which counts */
}

void bw_host_process_leave(struct bw_plugin_process *process)
{
    if (!process->channel) return;
    bw_channel_free(process->channel); /* for the host that is the sign to call fini() and to end; it has as long for it as if it had closed it */
    process->channel = NULL;
    process->has_left = true;
    process->silent_at_us = bw_clock_mono_us();
}

void bw_host_process_watch(struct bw_plugin_process *process, int64_t now_us)
{
    static const char closed_line[] = "it has closed its connection to a worker";
    struct bw_plugin_call *call;
    bw_host_output_watch(process->output);
    if (!process->process) {
        if (now_us - process->ended_at_us > END_MS * 1000LL) bury(process); /* somebody else has the other end of its channel */
        return;
    }
    if (!process->channel && now_us - process->silent_at_us > END_MS * 1000LL)
        bw_host_process_kill(process, process->is_leaving ? "it was to end, and did not" : "it has closed its connection to the engine");
    if (process->channel && !*process->why && bw_host_lines_are_lost(process, now_us - END_MS * 1000LL)) bw_host_process_kill(process, closed_line);
    TAILQ_FOREACH(call, &process->calls, link)
    {
        if (!call->kill_at_us || now_us <= call->kill_at_us || *process->why) continue;
        bw_log(BW_LOG_WARN, "plugin.unresponsive", BW_STR("plugin", bw_host_name(process->host)),
               BW_STR("message", "it did not give up a cancelled call: its process is ended"));
        /* With its line a call is lost, too, and its time may be over first: that is not why. */
        bool is_for_line = process->channel && bw_host_lines_are_lost(process, now_us);
        bw_host_process_kill(process, is_for_line ? closed_line : "it did not give up a call that was over");
        break;
    }
}

static bool spawn(struct bw_plugin_process *process, struct bw_error *err)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    struct event_base *base = process->host->dispatch->base;
    struct bw_host_ways ways;
    if (!bw_host_spawn(base, process->build->file.copy, on_ended, process, &ways, err)) return false;
    process->process = ways.process;
    process->report = ways.report;
    process->lines_socket = ways.lines;
    process->output = bw_host_output_new(process, ways.output);
    process->channel = bw_channel_new(base, ways.channel, BW_HOST_FRAME_BYTES_MAX, &handlers, process);
    return (process->channel && process->output) || bw_error_set(err, "memory", "out of memory");
}

void bw_host_process_init(struct bw_plugin_process *process)
{
    if (process->is_told) return;
    process->is_told = true;
    json_t *head = json_pack("{s:O}", "config", process->build->settings.config);
    bw_channel_send_json(process->channel, BW_MSG_HOST_INIT, head, NULL, 0);
    json_decref(head);
}

struct bw_plugin_process *bw_host_process_start(struct bw_plugin_host *host, struct bw_plugin_build *build, struct bw_error *err)
{
    struct bw_plugin_process *process = calloc(1, sizeof *process);
    if (!process) {
        bw_error_set(err, "memory", "out of memory");
        return NULL;
    }
    process->host = host;
    process->build = bw_plugin_build_ref(build);
    process->needs = json_incref(build->needs);
    process->report = process->lines_socket = -1;
    process->resolver = bw_host_resolver_version();
    TAILQ_INIT(&process->calls);
    TAILQ_INIT(&process->lines);
    TAILQ_INSERT_TAIL(&host->processes, process, link);
    if (!spawn(process, err)) {
        bw_host_process_free(process);
        return NULL;
    }
    json_t *head = json_pack("{s:s,s:b,s:b}", "path", host->path, "is_copied", build->file.copy >= 0, "allow_private_network",
                             host->dispatch->options.config->allow_private_network);
    if (build->needs) json_object_set(head, "needs", build->needs);
    bw_channel_send_json(process->channel, BW_MSG_HOST_LOAD, head, NULL, 0);
    json_decref(head);
    if (build->settings.config) bw_host_process_init(process); /* at once: calls may come before it is loaded */
    return process;
}
