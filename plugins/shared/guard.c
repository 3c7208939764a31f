#include "shared/guard.h"
#include "shared/guard_life.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void guard_close(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static void close_all(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) guard_close(&fds[i]);
}

/* near: in, out, err, leash, report of the host; far: those of the guard. */
static bool open_ways(const struct guard_program *program, int *near, int *far)
{
    memset(near, -1, GUARD_WAYS * sizeof *near);
    memset(far, -1, GUARD_WAYS * sizeof *far);
    for (int way = 0; way < GUARD_WAYS; way++) {
        bool is_to_guard = way == GUARD_WAY_IN || way == GUARD_WAY_LEASH;
        int pair[2];
        if (way == GUARD_WAY_IN && !program->has_input) {
            if ((far[way] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) return false;
            continue;
        }
        if (pipe2(pair, O_CLOEXEC)) return false;
        near[way] = pair[is_to_guard];
        far[way] = pair[!is_to_guard];
        fcntl(near[way], F_SETFL, O_NONBLOCK);
    }
    return true;
}

int guard_start(const struct guard_program *program, struct guard *out)
{
    int near[GUARD_WAYS], far[GUARD_WAYS], failure = 0;
    sigset_t all, before;
    if (!open_ways(program, near, far)) goto fail;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* no handler of this process runs in the new one */
    pid_t pid = fork();
    if (pid == 0) guard_live(program, far);
    failure = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = failure;
    if (pid < 0) goto fail;
    close_all(far, GUARD_WAYS);
    *out = (struct guard){.pid = pid,
                          .group = -1,
                          .leash = near[GUARD_WAY_LEASH],
                          .report = near[GUARD_WAY_REPORT],
                          .in = near[GUARD_WAY_IN],
                          .out = near[GUARD_WAY_OUT],
                          .err = near[GUARD_WAY_ERR]};
    return 0;
fail:
    failure = errno;
    close_all(near, GUARD_WAYS);
    close_all(far, GUARD_WAYS);
    return failure;
}

/* The guard's end of the report is closed. If somebody has killed it, its program may be there still: the kernel kills that, and this its group. */
static void bury(struct guard *guard)
{
    int status = 0;
    while (waitpid(guard->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (guard->group > 1 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) kill(-guard->group, SIGKILL);
    guard->pid = -1;
}

struct guard_news guard_read(struct guard *guard)
{
    struct guard_news news = {.event = GUARD_NOTHING};
    if (guard->pid < 0) return (struct guard_news){.event = GUARD_GONE};
    ssize_t got = read(guard->report, &news, sizeof news); /* written in one piece */
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return (struct guard_news){.event = GUARD_NOTHING};
    if (got != sizeof news) {
        bury(guard);
        return (struct guard_news){.event = GUARD_GONE};
    }
    if (news.event == GUARD_STARTED) guard->group = news.value;
    return news;
}

void guard_end(struct guard *guard, int grace_ms)
{
    if (guard->leash < 0) return;
    ssize_t ignored = write(guard->leash, &grace_ms, sizeof grace_ms); /* fails only when the guard is at its end */
    (void)ignored;
}

void guard_free(struct guard *guard)
{
    guard_end(guard, 0);
    guard_close(&guard->leash);
    guard_close(&guard->in);
    guard_close(&guard->out);
    guard_close(&guard->err);
    if (guard->pid >= 0) fcntl(guard->report, F_SETFL, 0); /* it is waited for */
    while (guard_read(guard).event != GUARD_GONE) {
    }
    guard_close(&guard->report);
}
