/* Lines: run workers that call this process themselves, without the engine in between. It passes our ends of them (wire/pass.h). */
#include "base/buf.h"
#include "host/internal.h"
#include "wire/pass.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct bw_host_line {
    struct bw_host *host;
    int64_t number;
    struct bw_channel *channel; /* NULL: its worker has gone */
    size_t calls;               /* that are not over */
};

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_host_line *line = arg;
    struct bw_host *host = line->host;
    (void)channel;
    bw_mailbox_hold(host->mailbox);
    bw_host_take_call(host, line, message);
    bw_mailbox_release(host->mailbox);
}

/* Nobody waits for its calls any more. The engine is told of those that go on, and which have to end all the same. */
static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    struct bw_host_line *line = arg;
    struct bw_host *host = line->host;
    json_t *head = json_pack("{s:I,s:o}", "line", (json_int_t)line->number, "calls", bw_host_calls_of(host, line));
    (void)reason;
    bw_channel_free(channel);
    line->channel = NULL;
    bw_channel_send_json(host->channel, BW_MSG_HOST_LINE_OVER, head, NULL, 0);
    json_decref(head);
    line->calls++; /* it is there until all of this is done */
    bw_mailbox_hold(host->mailbox);
    bw_host_cancel_all(host, line);
    bw_mailbox_release(host->mailbox);
    bw_host_line_done(line);
}

static void take(struct bw_host *host, int64_t number, int fd)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    struct bw_host_line *line = calloc(1, sizeof *line);
    int high = fcntl(fd, F_DUPFD_CLOEXEC, host->floor); /* out of the plugin's way */
    close(fd);
    if (line && high >= 0) {
        line->host = host;
        line->number = number;
        if ((line->channel = bw_channel_new(host->base, high, BW_HOST_FRAME_BYTES_MAX, &handlers, line))) return;
    } else if (high >= 0) {
        close(high);
    }
    free(line); /* closed: its worker hears of it */
}

static void on_passed(evutil_socket_t fd, short what, void *arg)
{
    struct bw_host *host = arg;
    int64_t number;
    int passed;
    (void)what;
    while ((passed = bw_pass_take(fd, &number)) >= 0) take(host, number, passed);
    if (errno != EAGAIN) event_del(host->passed); /* no more of them; those there are stay */
}

bool bw_host_take_lines(struct bw_host *host, int socket)
{
    host->passed = event_new(host->base, socket, EV_READ | EV_PERSIST, on_passed, host);
    return host->passed && !event_add(host->passed, NULL);
}

void bw_host_line_begin(struct bw_host_line *line)
{
    if (line) line->calls++;
}

void bw_host_line_done(struct bw_host_line *line)
{
    if (!line) return;
    line->calls--;
    if (!line->channel && !line->calls) free(line);
}

int64_t bw_host_line_number(const struct bw_host_line *line)
{
    return line->number;
}

struct bw_channel *bw_host_line_channel(const struct bw_host_line *line)
{
    return line ? line->channel : NULL;
}

bool bw_host_has_printed(const struct bw_host *host)
{
    int unread = 0;
    return ioctl(host->output, FIONREAD, &unread) != 0 || unread > 0;
}
