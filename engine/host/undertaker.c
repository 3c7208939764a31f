/* What a plugin has started ends with it: all of it is in the process group of its host, which the engine kills when the host has ended. When the
 * engine has been killed, nobody would. So a host that may start processes has a companion in its group, which waits for its end and then kills the
 * group, itself with it.
 *
 * It is no child of the host, so that a plugin that waits for all of its children does not wait for it. */
#include "host/internal.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void wait_for(int host)
{
    struct pollfd end = {.fd = host, .events = POLLIN};
    prctl(PR_SET_PDEATHSIG, 0);
    prctl(PR_SET_NAME, "undertaker");
    if (host > 0) close_range(0, (unsigned)host - 1, 0);
    close_range((unsigned)host + 1, ~0u, 0);
    while (poll(&end, 1, -1) < 0 && errno == EINTR) {
    }
    kill(0, SIGKILL);
    _exit(1);
}

void bw_host_call_undertaker(void)
{
    int host = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t between = host < 0 ? -1 : fork();
    if (between == 0) {
        if (fork() == 0) wait_for(host);
        _exit(0);
    }
    while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR) {
    }
    if (host >= 0) close(host);
}
