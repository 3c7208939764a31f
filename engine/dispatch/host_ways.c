#include "dispatch/host_ways.h"
#include "wire/pass.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAYS 4

/* The ends of this process are in near, those of the new one in far. */
static bool open_ways(int *near, int *far)
{
    int channel[2], report[2], output[2], lines[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel)) return false;
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK)) goto no_report;
    if (pipe2(output, O_CLOEXEC)) goto no_output;
    if (!bw_pass_pair(lines)) goto no_lines;
    fcntl(output[0], F_SETFL, O_NONBLOCK); /* the plugin's end blocks: it may wait until there is room */
    memcpy(near, (const int[]){channel[0], report[0], output[0], lines[0]}, WAYS * sizeof *near);
    memcpy(far, (const int[]){channel[1], report[1], output[1], lines[1]}, WAYS * sizeof *far);
    return true;
no_lines:
    close(output[0]);
    close(output[1]);
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
    int near[WAYS], far[WAYS + 1];
    if (!open_ways(near, far)) return bw_error_set(err, "process.pipe", "cannot make the pipes to a plugin's process: %s", strerror(errno));
    far[WAYS] = copy < 0 ? -1 : fcntl(copy, F_DUPFD_CLOEXEC, 0);
    struct bw_process *process = bw_process_spawn_beside(base, "host", far, far[WAYS] < 0 ? WAYS : WAYS + 1, ended, arg, err);
    if (!process) {
        for (size_t i = 0; i < WAYS; i++) close(near[i]);
        return false;
    }
    *out = (struct bw_host_ways){.process = process, .channel = near[0], .report = near[1], .output = near[2], .lines = near[3]};
    return true;
}
