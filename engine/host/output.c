/* stdout and stderr of a plugin, read back line by line: they must not tear the engine's log lines. */
#include "host/internal.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

struct bw_host_output {
    struct bw_host *host;
    struct event *event;
    size_t len;
    char line[LINE_MAX_BYTES + 1];
};

static void flush_line(struct bw_host_output *output)
{
    output->line[output->len] = '\0';
    if (output->len) bw_host_send_log(output->host, BW_PLUGIN_INFO, output->line);
    output->len = 0;
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    struct bw_host_output *output = arg;
    char bytes[4096];
    ssize_t count = read(fd, bytes, sizeof bytes);
    (void)what;
    for (ssize_t i = 0; i < count; i++) {
        if (bytes[i] == '\n' || output->len == LINE_MAX_BYTES) flush_line(output);
        if (bytes[i] != '\n' && bytes[i]) output->line[output->len++] = bytes[i];
    }
}

bool bw_host_capture_output(struct bw_host *host)
{
    struct bw_host_output *output = calloc(1, sizeof *output);
    int ends[2];
    if (!output || pipe2(ends, O_CLOEXEC)) {
        free(output);
        return false;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK); /* a plugin that prints faster than the loop reads loses lines; it must not hang itself */
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    output->host = host;
    output->event = event_new(host->base, ends[0], EV_READ | EV_PERSIST, on_output, output);
    host->output = output;
    return output->event && !event_add(output->event, NULL);
}
