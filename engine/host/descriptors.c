/* The host's own descriptors lie high: a plugin that closes or overwrites the low ones, as daemons do, hits its own.
 *
 * An event loop takes what is free, and the lowest is taken first: so all low ones are taken while the host opens its own, and free afterwards. */
#include "host/internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOW 1024 /* below are the plugin's; also what select() can handle */
#define GIVEN 3  /* those that the engine gives are 3 to 6, and 7 if there is a copy of the plugin */

static int floor_of_ours(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= 2 * LOW) return LOW;
    return (int)limit.rlim_cur / 2;
}

bool bw_host_lift_descriptors(struct bw_host_descriptors *ours)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), taken = nothing;
    ours->floor = floor_of_ours();
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0) return false;
    if (dup2(GIVEN + 2, STDOUT_FILENO) < 0 || dup2(GIVEN + 2, STDERR_FILENO) < 0) return false;
    setvbuf(stdout, NULL, _IOLBF, 0);
    ours->engine = fcntl(GIVEN, F_DUPFD_CLOEXEC, ours->floor);
    ours->report = fcntl(GIVEN + 1, F_DUPFD_CLOEXEC, ours->floor);
    ours->output = fcntl(GIVEN + 2, F_DUPFD_CLOEXEC, ours->floor);
    ours->lines = fcntl(GIVEN + 3, F_DUPFD_CLOEXEC, ours->floor);
    ours->copy = fcntl(GIVEN + 4, F_DUPFD_CLOEXEC, ours->floor);
    while (taken >= 0 && taken < ours->floor) taken = fcntl(nothing, F_DUPFD_CLOEXEC, GIVEN);
    return taken >= 0 && ours->engine >= 0 && ours->report >= 0 && ours->output >= 0 && ours->lines >= 0;
}

void bw_host_free_descriptors(const struct bw_host_descriptors *ours)
{
    close_range(GIVEN, (unsigned)ours->floor - 1, 0);
}
