#include "dispatch/host_ways.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The ends of this process are in near, those of the new one in far. */
static bool open_ways(int *near, int *far)
{
    int channel[2], report[2], output[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel)) return false;
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK)) goto no_report;
    if (pipe2(output, O_CLOEXEC)) goto no_output;
    fcntl(output[0], F_SETFL, O_NONBLOCK); /* the plugin's end blocks: it may wait until there is room */
    memcpy(near, (const int[]){channel[0], report[0], output[0]}, 3 * sizeof *near);
    memcpy(far, (const int[]){channel[1], report[1], output[1]}, 3 * sizeof *far);
    return true;
no_output:
    close(report[0]);
    close(report[1]);
no_report:
    close(channel[0]);
    close(channel[1]);
    return false;
}

bool bw_host_spawn(struct event_base *base, int copy, bw_process_ended *ended, void *arg, struct bw_host_ways *out, struct bw_error *err)
{
    int near[3], far[4];
    if (!open_ways(near, far)) return bw_error_set(err, "process.pipe", "cannot make the pipes to a plugin's process: %s", strerror(errno));
    far[3] = copy < 0 ? -1 : fcntl(copy, F_DUPFD_CLOEXEC, 0);
    struct bw_process *process = bw_process_spawn(base, "host", far, far[3] < 0 ? 3 : 4, ended, arg, err);
    if (!process) {
        for (size_t i = 0; i < 3; i++) close(near[i]);
        return false;
    }
    *out = (struct bw_host_ways){.process = process, .channel = near[0], .report = near[1], .output = near[2]};
    return true;
}
