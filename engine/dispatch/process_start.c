#include "dispatch/process_start.h"
#include "base/environment.h"
#include "dispatch/host_program.h"
#include "dispatch/process.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_come = PTHREAD_COND_INITIALIZER, has_gone = PTHREAD_COND_INITIALIZER;
static struct bw_start *first, **last = &first;

#ifdef BELLWIRE_TEST_HOOKS
static bw_process_fork *fork_with;

void bw_process_fork_with(bw_process_fork *make)
{
    fork_with = make;
}
#endif

static void close_all(struct bw_start *start)
{
    for (size_t i = 0; i < start->fd_count; i++) close(start->fds[i]);
    start->fd_count = 0;
}

/* image: a program to execute; -1: this one again. 0, or an errno. */
static int spawn(const struct bw_start *start, int image, pid_t *pid)
{
    char *argv[] = {(char *)"bellwire", (char *)start->role, NULL}, path[32] = "/proc/self/exe";
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int high[BW_START_FDS_MAX], failure, first_free = 3 + (int)start->fd_count;
    size_t moved = 0;

#ifdef BELLWIRE_TEST_HOOKS
    if (fork_with) return (*pid = fork_with(start->role, start->fds, start->fd_count)) < 0 ? errno : 0;
#endif
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    /* Sources above the targets, so that no dup2 overwrites one that is still needed. */
    for (; moved < start->fd_count; moved++)
        if ((high[moved] = fcntl(start->fds[moved], F_DUPFD_CLOEXEC, 64)) < 0) {
            failure = errno;
            goto out;
        }
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (image >= 0) { /* before its number may be overwritten */
        snprintf(path, sizeof path, "/proc/self/fd/%d", first_free);
        posix_spawn_file_actions_adddup2(&actions, image, first_free++); /* which that program closes: host/main.c */
    }
    for (size_t i = 0; i < start->fd_count; i++) posix_spawn_file_actions_adddup2(&actions, high[i], 3 + (int)i);
    posix_spawn_file_actions_addclosefrom_np(&actions, first_free);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0); /* what it starts is killed with it; and a Ctrl-C on the terminal is the engine's to handle */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    failure = posix_spawn(pid, path, &actions, &attributes, argv, start->environment);
out:
    for (size_t i = 0; i < moved; i++) close(high[i]);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

struct bw_start *bw_start_new(const char *role, const int *fds, size_t fd_count)
{
    struct bw_start *start = fd_count <= BW_START_FDS_MAX ? calloc(1, sizeof *start) : NULL;
    if (!start || !(start->environment = bw_child_environment())) {
        for (size_t i = 0; i < fd_count; i++) close(fds[i]);
        free(start);
        return NULL;
    }
    start->role = role;
    start->fd_count = fd_count;
    memcpy(start->fds, fds, fd_count * sizeof *fds);
    start->image = strcmp(role, "host") ? -1 : bw_host_program();
    start->pidfd = start->done_fd = -1;
    return start;
}

static void run(struct bw_start *start)
{
    start->failure = spawn(start, start->image, &start->pid);
    if (start->failure && start->image >= 0) {
        start->image_failure = start->failure;
        start->failure = spawn(start, -1, &start->pid);
    }
    close_all(start);
    if (!start->failure && (start->pidfd = (int)syscall(SYS_pidfd_open, start->pid, 0)) < 0) {
        start->failure = errno; /* nobody would hear of its end */
        kill(-start->pid, SIGKILL);
        while (waitpid(start->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (start->failure) start->pid = 0;
}

void bw_start_now(struct bw_start *start)
{
    run(start);
    start->is_done = true;
}

/* ---- beside ---- */

static void *run_all(void *arg)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!first) pthread_cond_wait(&has_come, &lock);
        struct bw_start *start = first;
        if (!(first = start->next)) last = &first;
        pthread_mutex_unlock(&lock);
        run(start);
        pthread_mutex_lock(&lock);
        start->is_done = true;
        eventfd_write(start->done_fd, 1); /* with the lock: whoever waits may free it as soon as that is open */
        pthread_cond_broadcast(&has_gone);
    }
    return arg;
}

/* Signals are the main thread's. */
static bool have_thread(void)
{
    static bool is_there;
    pthread_t thread;
    sigset_t all, before;
    if (is_there) return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    is_there = !pthread_create(&thread, NULL, run_all, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_there) pthread_detach(thread);
    return is_there;
}

int bw_start_beside(struct bw_start *start)
{
#ifdef BELLWIRE_TEST_HOOKS
    if (fork_with) return -1; /* by whoever asks: no thread of this process may be there */
#endif
    if (!have_thread() || (start->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) return -1;
    pthread_mutex_lock(&lock);
    *last = start;
    last = &start->next;
    pthread_cond_signal(&has_come);
    pthread_mutex_unlock(&lock);
    return start->done_fd;
}

void bw_start_wait(struct bw_start *start)
{
    pthread_mutex_lock(&lock);
    while (!start->is_done) pthread_cond_wait(&has_gone, &lock);
    pthread_mutex_unlock(&lock);
}

void bw_start_free(struct bw_start *start)
{
    close_all(start);
    if (start->done_fd >= 0) close(start->done_fd);
    free(start->environment);
    free(start);
}
