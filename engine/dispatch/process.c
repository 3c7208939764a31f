#include "dispatch/process.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "dispatch/host_program.h"
#include "dispatch/process_start.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct bw_process {
    struct event_base *base;
    struct bw_start *start; /* NULL: it is over */
    pid_t pid;              /* 0: there is none yet, or there never was one */
    int pidfd;
    bool is_reaped, is_unwanted; /* is_unwanted: it is to be killed as soon as it is there */
    struct event *event;         /* of its start, then of its end */
    bw_process_ended *ended;
    void *arg;
};

static void describe_end(int status, char *how, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(how, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(how, size, "exit %d", WEXITSTATUS(status));
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    struct bw_process *process = arg;
    siginfo_t ended = {0};
    int status = 0;
    char how[64];
    (void)fd, (void)what;
    /* Left unreaped until its group is dead: its number could be that of another group then. */
    if (waitid(P_PID, (id_t)process->pid, &ended, WEXITED | WNOHANG | WNOWAIT) || ended.si_pid != process->pid) return;
    kill(-process->pid, SIGKILL);
    if (waitpid(process->pid, &status, 0) != process->pid) return;
    process->is_reaped = true;
    event_del(process->event);
#ifdef BELLWIRE_TEST_HOOKS
    bw_crash_point_child_ended(status);
#endif
    describe_end(status, how, sizeof how);
    process->ended(process, status, how, process->arg);
}

static void reap(struct bw_process *process)
{
    kill(-process->pid, SIGKILL);
    kill(process->pid, SIGKILL);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    process->is_reaped = true;
}

/* What its start has come to, which is done. 0, or an errno: there is no process. */
static int take(struct bw_process *process)
{
    struct bw_start *start = process->start;
    int failure = start->failure;
    process->start = NULL;
    process->pid = start->pid;
    process->pidfd = start->pidfd;
    process->is_reaped = failure != 0;
    if (process->event) event_free(process->event);
    process->event = NULL;
    if (start->image_failure) bw_host_program_refused(start->image_failure);
    bw_start_free(start);
    if (failure) return failure;
    process->event = event_new(process->base, process->pidfd, EV_READ | EV_PERSIST, on_ended, process);
    if (process->event && !event_add(process->event, NULL)) return 0;
    reap(process); /* nobody would hear of its end */
    return ENOMEM;
}

static void on_started(evutil_socket_t fd, short what, void *arg)
{
    struct bw_process *process = arg;
    (void)fd, (void)what;
    bw_start_wait(process->start);
    int failure = take(process);
    if (failure)
        process->ended(process, BW_PROCESS_NOT_STARTED, strerror(failure), process->arg);
    else if (process->is_unwanted)
        bw_process_kill(process);
}

/* False: it has to be waited for. */
static bool start_beside(struct bw_process *process)
{
    int done = bw_start_beside(process->start);
    if (done < 0) {
        bw_start_now(process->start);
        return false;
    }
    process->event = event_new(process->base, done, EV_READ, on_started, process);
    return process->event && !event_add(process->event, NULL);
}

static struct bw_process *spawn(struct event_base *base, const char *role, const int *fds, size_t fd_count, bool is_beside, bw_process_ended *ended,
                                void *arg, struct bw_error *err)
{
    struct bw_start *start = bw_start_new(role, fds, fd_count);
    struct bw_process *process = start ? calloc(1, sizeof *process) : NULL;
    int failure = ENOMEM;
    if (process) {
        *process = (struct bw_process){.base = base, .start = start, .pidfd = -1, .ended = ended, .arg = arg};
        if (is_beside && start_beside(process)) return process;
        if (!is_beside) bw_start_now(start);
        bw_start_wait(start);
        failure = take(process);
    } else if (start) {
        bw_start_free(start);
    }
    if (!failure) return process;
    bw_process_free(process);
    bw_error_set(err, "process.spawn", "cannot start a %s process: %s", role, strerror(failure));
    bw_error_hint(err, "check the limits on processes and open files (ulimit -u, ulimit -n)");
    return NULL;
}

struct bw_process *bw_process_spawn(struct event_base *base, const char *role, const int *fds, size_t fd_count, bw_process_ended *ended, void *arg,
                                    struct bw_error *err)
{
    return spawn(base, role, fds, fd_count, false, ended, arg, err);
}

struct bw_process *bw_process_spawn_beside(struct event_base *base, const char *role, const int *fds, size_t fd_count, bw_process_ended *ended,
                                           void *arg, struct bw_error *err)
{
    return spawn(base, role, fds, fd_count, true, ended, arg, err);
}

pid_t bw_process_pid(const struct bw_process *process)
{
    if (!process->start) return process->pid;
    bw_start_wait(process->start);
    return process->start->pid;
}

/* One line of /proc/PID; "": it cannot be read, or there is no such process. */
static void read_status(pid_t pid, const char *name, char *line, size_t size)
{
    char path[48];
    *line = '\0';
    if (!pid) return;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t got = read(fd, line, size - 1);
    line[got > 0 ? got : 0] = '\0';
    close(fd);
}

/* 0: it is not there yet, or not any more. */
static pid_t living(const struct bw_process *process)
{
    return !process || process->is_reaped ? 0 : process->pid;
}

size_t bw_process_resident_bytes(const struct bw_process *process)
{
    char line[128];
    unsigned long long all, resident = 0;
    read_status(process && process->start ? bw_process_pid(process) : living(process), "statm", line, sizeof line);
    if (sscanf(line, "%llu %llu", &all, &resident) != 2) resident = 0;
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

int64_t bw_process_cpu_us(const struct bw_process *process)
{
    clockid_t clock;
    struct timespec had;
    if (!living(process) || clock_getcpuclockid(process->pid, &clock) || clock_gettime(clock, &had)) return -1;
    return had.tv_sec * 1000000LL + had.tv_nsec / 1000;
}

/* For the processor, by its first thread: /proc/PID/schedstat, in nanoseconds. */
static int64_t waited_us(const struct bw_process *process)
{
    char line[96];
    long long ran, waited;
    read_status(living(process), "schedstat", line, sizeof line);
    return sscanf(line, "%lld %lld", &ran, &waited) == 2 ? waited / 1000 : 0;
}

bool bw_process_is_late(const struct bw_process *process, int64_t since_us, int64_t limit_ms)
{
    int64_t took_us = bw_clock_mono_us() - since_us;
    return took_us > limit_ms * 1000 && took_us - waited_us(process) > limit_ms * 1000;
}

void bw_process_kill(struct bw_process *process)
{
    process->is_unwanted = true;
    if (process->start || process->is_reaped) return;
    kill(-process->pid, SIGKILL);
    kill(process->pid, SIGKILL);
}

void bw_process_free(struct bw_process *process)
{
    if (!process) return;
    if (process->start) {
        bw_start_wait(process->start);
        take(process);
    }
    if (!process->is_reaped) reap(process);
    if (process->event) event_free(process->event);
    if (process->pidfd >= 0) close(process->pidfd);
    free(process);
}
