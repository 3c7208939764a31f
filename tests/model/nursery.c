#include "nursery.h"
#include "dispatch/process.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FDS_MAX = 8, FD_FIRST = 3, LINE_MAX_BYTES = 1024, BROKEN = 64 /* what a life returns that has come to no good end, and more */ };
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

static void write_into(int log)
{
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
}

/* The worker is a child of the life, which has asked for it, and dies with it. */
static pid_t bear(int log, const int *fds, size_t count, int (*work)(void))
{
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0); /* fork() would make it a child of this process */
    if (pid != 0) return pid;
    setpgid(0, 0);
    write_into(log);
    stay_with(fds, count);
    _exit(work());
}

static pid_t ask(const char *role, const int *fds, size_t count)
{
    int all[FDS_MAX] = {STDERR_FILENO}; /* that of this life */
    pid_t pid = -1;
    errno = EAGAIN;
    if (strcmp(role, "worker") != 0 || count >= FDS_MAX) return -1;
    memcpy(all + 1, fds, sizeof *fds * count);
    if (!send_fds(nurse, all, count + 1) || read(nurse, &pid, sizeof pid) != sizeof pid) return -1;
    return pid;
}

int nursery_open(int (*work)(void))
{
    int pair[2], fds[FDS_MAX];
    size_t count;
    if (nurse >= 0) return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return -1;
    pid_t pid = fork();
    if (pid != 0) {
        nurse = pair[0];
        close(pair[1]);
        bw_process_fork_with(ask);
        return pid < 0 ? -1 : 0;
    }
    dup2(pair[1], FD_FIRST);
    close_range(FD_FIRST + 1, ~0u, 0);
    unsetenv("BELLWIRE_CRASH"); /* as for every child of an engine */
    while ((count = take_fds(FD_FIRST, fds))) {
        pid = bear(fds[0], fds + 1, count - 1, work);
        for (size_t i = 0; i < count; i++) close(fds[i]);
        if (write(FD_FIRST, &pid, sizeof pid) != sizeof pid) break;
    }
    _exit(0);
}

/* ---- lives ---- */

struct order {
    const char *folder, *crash, *log;
};

static struct order read_order(char *line)
{
    char *rest = NULL;
    struct order order = {.folder = strtok_r(line, " \n", &rest)};
    order.crash = strtok_r(NULL, " \n", &rest);
    order.log = strtok_r(NULL, " \n", &rest);
    if (!order.log) _exit(64);
    return order;
}

static bool is_deadly(const struct order *order)
{
    return strcmp(order->crash, "-") != 0;
}

static int begin(const struct order *order, int (*live)(const char *folder))
{
    int log = open(order->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return 64;
    write_into(log);
    close(log);
    if (is_deadly(order)) setenv("BELLWIRE_CRASH", order->crash, 1);
    return live(order->folder);
}

/* In a new child: it keeps nothing of its parent's but the way to it, if there is to be one (else -1). */
static void be_born(int to_parent)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0) _exit(71);
    if (to_parent >= 0) dup2(to_parent, FD_FIRST);
    close_range(FD_FIRST + (to_parent >= 0), ~0u, 0);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) _exit(71);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A life that nothing is to kill leaves its process to the next one: to make a process, and to touch its memory for the first time, costs more than
 * to live. */
static struct {
    pid_t pid;
    int way;
} house = {.way = -1};

static void keep_house(int (*live)(const char *folder))
{
    char line[LINE_MAX_BYTES];
    ssize_t len;
    while ((len = recv(FD_FIRST, line, sizeof line - 1, 0)) > 0) {
        line[len] = '\0';
        struct order order = read_order(line);
        int status = begin(&order, live);
        if (write(FD_FIRST, &status, sizeof status) != sizeof status || status >= BROKEN) break;
    }
    close(nurse);
    while (wait(NULL) > 0) { /* so that their time is known */
    }
    _exit(0);
}

static int leave_house(void)
{
    close(house.way);
    house.way = -1;
    return wait_for(house.pid);
}

static int live_in_house(const char *line, int (*live)(const char *folder))
{
    int pair[2], status;
    if (house.way < 0) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) _exit(71);
        if ((house.pid = fork()) == 0) {
            be_born(pair[1]);
            keep_house(live);
        }
        close(pair[1]);
        house.way = pair[0];
    }
    if (send(house.way, line, strlen(line), MSG_NOSIGNAL) > 0 && recv(house.way, &status, sizeof status, 0) == sizeof status) return status;
    return leave_house(); /* it died of something */
}

static int live_alone(const struct order *order, int (*live)(const char *folder))
{
    pid_t pid = fork();
    if (pid == 0) {
        be_born(-1);
        int status = begin(order, live);
#ifdef __SANITIZE_ADDRESS__
        exit(status); /* what was leaked is told */
#endif
        _exit(status);
    }
    return wait_for(pid);
}

int nursery_serve(int (*live)(const char *folder))
{
    char line[LINE_MAX_BYTES], parts[LINE_MAX_BYTES];
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* of what a life leaves behind when it dies */
    while (fgets(line, sizeof line, stdin)) {
        fflush(stdout);
        strcpy(parts, line);
        struct order order = read_order(parts);
#ifdef __SANITIZE_ADDRESS__
        bool is_alone = true;
#else
        bool is_alone = is_deadly(&order);
#endif
        printf("%d\n", is_alone ? live_alone(&order, live) : live_in_house(line, live));
        fflush(stdout);
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
    if (house.way >= 0) leave_house();
    return 0;
}
