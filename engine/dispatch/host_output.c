/* What a plugin prints, and what it logs: entries of the engine's log, with the step that they belong to where that is certain. A plugin that talks
 * without end fills neither the log nor the time of the engine: what is too much is counted, read slowly, and dropped. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/hosts.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES_MAX 4096
#define WINDOW_BYTES (64u << 10) /* that a process may say in a second */
#define WINDOW_US 1000000LL
#define TURN_BYTES (64u << 10) /* read at once */

struct bw_plugin_output {
    struct bw_plugin_process *process;
    struct event *event;
    int fd;
    bool is_waiting; /* until it is known whose it is */
    bool is_slow;    /* too much was said: read now and then only, which makes the plugin wait */
    int64_t window_us;
    size_t said;     /* in this window */
    int64_t dropped; /* bytes, in this window */
    size_t len;
    char line[LINE_BYTES_MAX + 1];
};

static void write_entry(const struct bw_plugin_process *process, enum bw_log_level level, const struct bw_plugin_call *call, const char *text)
{
    json_t *about = call ? bw_json_load(bw_slice_of(call->about), NULL) : NULL;
    bw_log(level, "plugin.log", BW_STR("plugin", bw_host_name(process->host)), BW_STR("message", text),
           BW_STR("run", bw_json_str(about, "run", NULL)), BW_STR("step", bw_json_str(about, "step", NULL)));
    json_decref(about);
}

static void turn_window(struct bw_plugin_output *output)
{
    int64_t now = bw_clock_mono_us();
    if (now - output->window_us < WINDOW_US) return;
    if (output->dropped)
        bw_log(BW_LOG_WARN, "plugin.output_dropped", BW_STR("plugin", bw_host_name(output->process->host)), BW_INT("bytes", output->dropped),
               BW_STR("message", "it has said more than 64 KiB within a second: what was too much is not in the log"));
    output->window_us = now;
    output->said = 0;
    output->dropped = 0;
    if (output->is_slow) event_add(output->event, NULL);
    output->is_slow = false;
}

/* All of it or nothing. */
static bool may_say(struct bw_plugin_output *output, size_t bytes)
{
    turn_window(output);
    if (output->said + bytes <= WINDOW_BYTES) {
        output->said += bytes;
        return true;
    }
    output->dropped += (int64_t)bytes;
    if (!output->is_slow) event_del(output->event);
    output->is_slow = true;
    return false;
}

/* A line is of the call that is in progress, if there is just one. */
static void end_line(struct bw_plugin_output *output)
{
    const struct bw_plugin_call *first = TAILQ_FIRST(&output->process->calls);
    output->line[output->len] = '\0';
    if (output->len && may_say(output, output->len))
        write_entry(output->process, BW_LOG_INFO, first && !TAILQ_NEXT(first, link) ? first : NULL, output->line);
    output->len = 0;
}

static void take(struct bw_plugin_output *output, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n' || output->len == LINE_BYTES_MAX) end_line(output);
        if (bytes[i] != '\n' && bytes[i]) output->line[output->len++] = bytes[i];
    }
}

static void read_turn(struct bw_plugin_output *output)
{
    char bytes[4096];
    ssize_t got;
    for (size_t left = TURN_BYTES; left && (got = read(output->fd, bytes, sizeof bytes)) > 0; left -= (size_t)got < left ? (size_t)got : left)
        take(output, bytes, (size_t)got);
}

/* Whose it is is what its workers know. */
static bool has_to_wait(struct bw_plugin_output *output)
{
    if (!bw_host_lines_ask(output->process)) return false;
    output->is_waiting = true;
    event_del(output->event);
    return true;
}

void bw_host_output_go_on(struct bw_plugin_output *output)
{
    if (!output || !output->is_waiting) return;
    output->is_waiting = false;
    if (!output->is_slow) event_add(output->event, NULL);
    read_turn(output);
    turn_window(output);
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    struct bw_plugin_output *output = arg;
    char byte[4096];
    if (has_to_wait(output)) return;
    ssize_t got = read(fd, byte, sizeof byte);
    (void)what;
    if (got > 0) take(output, byte, (size_t)got);
    if (got == 0) event_del(output->event); /* nobody can write any more */
}

void bw_host_output_flush(struct bw_plugin_output *output)
{
    if (!output || output->is_waiting) return;
    read_turn(output);
    end_line(output);
}

void bw_host_output_end_line(struct bw_plugin_output *output)
{
    if (output && output->len) end_line(output);
}

void bw_host_output_watch(struct bw_plugin_output *output)
{
    if (!output->is_slow || has_to_wait(output)) return;
    read_turn(output);
    turn_window(output);
}

void bw_host_output_log(struct bw_plugin_output *output, const struct bw_plugin_call *call, const char *level, const char *text)
{
    enum bw_log_level found = BW_LOG_INFO;
    bw_log_level_named(level, &found);
    if (may_say(output, strlen(text))) write_entry(output->process, found, call, text);
}

struct bw_plugin_output *bw_host_output_new(struct bw_plugin_process *process, int fd)
{
    struct bw_plugin_output *output = calloc(1, sizeof *output);
    if (!output) {
        close(fd);
        return NULL;
    }
    output->process = process;
    output->fd = fd;
    output->event = event_new(process->host->dispatch->base, fd, EV_READ | EV_PERSIST, on_output, output);
    if (output->event && !event_add(output->event, NULL)) return output;
    bw_host_output_free(output);
    return NULL;
}

void bw_host_output_free(struct bw_plugin_output *output)
{
    if (!output) return;
    output->window_us = 0; /* what was dropped is said now */
    turn_window(output);
    if (output->event) event_free(output->event);
    close(output->fd);
    free(output);
}
