#include "nursery.h"
#include "dispatch/process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FDS_MAX = 8, FD_FIRST = 3 };
static int nurse = -1; /* the life's end */

/* ---- descriptors on their way ---- */

static bool send_fds(int to, const int *fds, size_t count)
{
    char control[CMSG_SPACE(sizeof(int) * FDS_MAX)] = {0}, byte = (char)count;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * count)};
    memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
    return sendmsg(to, &message, MSG_NOSIGNAL) == 1;
}

static size_t take_fds(int from, int *fds) /* 0: nobody will ask any more */
{
    char control[CMSG_SPACE(sizeof(int) * FDS_MAX)] = {0}, byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != 1) return 0;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    size_t count = head ? (head->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    if (count) memcpy(fds, CMSG_DATA(head), sizeof(int) * count);
    return count;
}

/* ---- workers ---- */

static void stay_with(const int *fds, size_t count)
{
    int high[FDS_MAX];
    for (size_t i = 0; i < count; i++) high[i] = fcntl(fds[i], F_DUPFD, 64);
    for (size_t i = 0; i < count; i++) dup2(high[i], FD_FIRST + (int)i);
    close_range(FD_FIRST + (unsigned)count, ~0u, 0);
}

/* The worker is a grandchild whose parent has ended, so it becomes a child of the life, which has asked for such. It begins when that is so: it dies
 * with its parent. */
static pid_t bear(const int *fds, size_t count, int (*work)(void))
{
    int pair[2];
    pid_t pid = -1, between;
    char go = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return -1;
    if ((between = fork()) == 0) {
        if (fork() != 0) _exit(0);
        pid = getpid();
        if (write(pair[1], &pid, sizeof pid) != sizeof pid || read(pair[1], &go, 1) != 1) _exit(70);
        setpgid(0, 0);
        stay_with(fds, count);
        _exit(work());
    }
    close(pair[1]);
    if (between < 0 || read(pair[0], &pid, sizeof pid) != sizeof pid) pid = -1;
    if (between > 0) waitpid(between, NULL, 0);
    if (pid > 0 && write(pair[0], "", 1) != 1) pid = -1;
    close(pair[0]);
    return pid;
}

static pid_t ask(const char *role, const int *fds, size_t count)
{
    pid_t pid = -1;
    errno = EAGAIN;
    if (strcmp(role, "worker") != 0 || !send_fds(nurse, fds, count) || read(nurse, &pid, sizeof pid) != sizeof pid) return -1;
    return pid;
}

int nursery_open(int (*work)(void))
{
    int pair[2], fds[FDS_MAX];
    size_t count;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return -1;
    pid_t pid = fork();
    if (pid != 0) {
        nurse = pair[0];
        close(pair[1]);
        bw_process_fork_with(ask);
        return pid < 0 ? -1 : 0;
    }
    close(pair[0]);
    unsetenv("BELLWIRE_CRASH"); /* as for every child of an engine */
    while ((count = take_fds(pair[1], fds))) {
        pid = bear(fds, count, work);
        for (size_t i = 0; i < count; i++) close(fds[i]);
        if (write(pair[1], &pid, sizeof pid) != sizeof pid) break;
    }
    _exit(0);
}

/* ---- lives ---- */

static int begin(char *line, int (*live)(const char *folder))
{
    char *rest = NULL, *folder = strtok_r(line, " \n", &rest), *crash = strtok_r(NULL, " \n", &rest), *log = strtok_r(NULL, " \n", &rest);
    int nothing = open("/dev/null", O_RDWR), seen = log ? open(log, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (nothing < 0 || seen < 0) return 64;
    dup2(nothing, STDIN_FILENO);
    dup2(seen, STDOUT_FILENO);
    dup2(seen, STDERR_FILENO);
    close_range(FD_FIRST, ~0u, 0);
    if (strcmp(crash, "-") != 0) setenv("BELLWIRE_CRASH", crash, 1);
    return live(folder);
}

int nursery_serve(int (*live)(const char *folder))
{
    char line[1024];
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* of what a life leaves behind when it dies */
    while (fgets(line, sizeof line, stdin)) {
        int status = 0;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            status = begin(line, live);
#ifdef __SANITIZE_ADDRESS__
            exit(status); /* what was leaked is told */
#endif
            _exit(status);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid) return 71;
        printf("%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
        fflush(stdout);
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
    return 0;
}
