#include "dispatch/process.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/environment.h"
#include "base/log.h"
#include "dispatch/host_program.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef BELLWIRE_TEST_HOOKS
static bw_process_fork *fork_with;

void bw_process_fork_with(bw_process_fork *make)
{
    fork_with = make;
}
#endif

struct bw_process {
    pid_t pid;
    int pidfd;
    bool is_reaped;
    struct event *event;
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

/* image: a program to execute; -1: this one again. 0, or an errno. */
static int start(int image, const char *role, const int *fds, size_t fd_count, pid_t *pid)
{
    char *argv[] = {(char *)"bellwire", (char *)role, NULL}, path[32] = "/proc/self/exe";
    char **env = bw_child_environment();
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int high[8], failure = ENOMEM, first_free = 3 + (int)fd_count;
    size_t moved = 0;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (!env || fd_count > sizeof high / sizeof *high) goto out;
    /* Sources above the targets, so that no dup2 overwrites one that is still needed. */
    for (; moved < fd_count; moved++)
        if ((high[moved] = fcntl(fds[moved], F_DUPFD_CLOEXEC, 64)) < 0) {
            failure = errno;
            goto out;
        }
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (image >= 0) { /* before its number may be overwritten */
        snprintf(path, sizeof path, "/proc/self/fd/%d", first_free);
        posix_spawn_file_actions_adddup2(&actions, image, first_free++); /* which that program closes: host/main.c */
    }
    for (size_t i = 0; i < fd_count; i++) posix_spawn_file_actions_adddup2(&actions, high[i], 3 + (int)i);
    posix_spawn_file_actions_addclosefrom_np(&actions, first_free);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0); /* what it starts is killed with it; and a Ctrl-C on the terminal is the engine's to handle */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    failure = posix_spawn(pid, path, &actions, &attributes, argv, env);
out:
    for (size_t i = 0; i < moved; i++) close(high[i]);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(env);
    return failure;
}

static int make(const char *role, const int *fds, size_t fd_count, pid_t *pid)
{
#ifdef BELLWIRE_TEST_HOOKS
    if (fork_with) return (*pid = fork_with(role, fds, fd_count)) < 0 ? errno : 0;
#endif
    int image = strcmp(role, "host") ? -1 : bw_host_program();
    int failure = start(image, role, fds, fd_count, pid);
    if (!failure || image < 0) return failure;
    bw_host_program_refused(failure);
    return start(-1, role, fds, fd_count, pid);
}

struct bw_process *bw_process_spawn(struct event_base *base, const char *role, const int *fds, size_t fd_count, bw_process_ended *ended, void *arg,
                                    struct bw_error *err)
{
    struct bw_process *process = calloc(1, sizeof *process);
    int failure = process ? make(role, fds, fd_count, &process->pid) : ENOMEM;
    for (size_t i = 0; i < fd_count; i++) close(fds[i]);
    if (failure) {
        free(process);
        process = NULL;
        goto out;
    }
    process->ended = ended;
    process->arg = arg;
    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    process->event = process->pidfd < 0 ? NULL : event_new(base, process->pidfd, EV_READ | EV_PERSIST, on_ended, process);
    if (!process->event || event_add(process->event, NULL)) {
        failure = errno ? errno : ENOMEM;
        bw_process_free(process);
        process = NULL;
    }
out:
    if (failure) {
        bw_error_set(err, "process.spawn", "cannot start a %s process: %s", role, strerror(failure));
        bw_error_hint(err, "check the limits on processes and open files (ulimit -u, ulimit -n)");
    }
    return process;
}

pid_t bw_process_pid(const struct bw_process *process)
{
    return process->pid;
}

/* One line of /proc/PID; "": it cannot be read, or the process is gone. */
static void read_status(const struct bw_process *process, const char *name, char *line, size_t size)
{
    char path[48];
    *line = '\0';
    if (!process || process->is_reaped) return;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)process->pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t got = read(fd, line, size - 1);
    line[got > 0 ? got : 0] = '\0';
    close(fd);
}

size_t bw_process_resident_bytes(const struct bw_process *process)
{
    char line[128];
    unsigned long long all, resident = 0;
    read_status(process, "statm", line, sizeof line);
    if (sscanf(line, "%llu %llu", &all, &resident) != 2) resident = 0;
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

int64_t bw_process_cpu_us(const struct bw_process *process)
{
    clockid_t clock;
    struct timespec had;
    if (!process || process->is_reaped || clock_getcpuclockid(process->pid, &clock) || clock_gettime(clock, &had)) return -1;
    return had.tv_sec * 1000000LL + had.tv_nsec / 1000;
}

/* For the processor, by its first thread: /proc/PID/schedstat, in nanoseconds. */
static int64_t waited_us(const struct bw_process *process)
{
    char line[96];
    long long ran, waited;
    read_status(process, "schedstat", line, sizeof line);
    return sscanf(line, "%lld %lld", &ran, &waited) == 2 ? waited / 1000 : 0;
}

bool bw_process_is_late(const struct bw_process *process, int64_t since_us, int64_t limit_ms)
{
    int64_t took_us = bw_clock_mono_us() - since_us;
    return took_us > limit_ms * 1000 && took_us - waited_us(process) > limit_ms * 1000;
}

void bw_process_kill(struct bw_process *process)
{
    if (process->is_reaped) return;
    kill(-process->pid, SIGKILL);
    kill(process->pid, SIGKILL);
}

void bw_process_free(struct bw_process *process)
{
    if (!process) return;
    if (!process->is_reaped) {
        bw_process_kill(process);
        while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (process->event) event_free(process->event);
    if (process->pidfd >= 0) close(process->pidfd);
    free(process);
}
