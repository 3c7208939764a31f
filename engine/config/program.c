#include "config/program.h"
#include "base/clock.h"
#include "base/environment.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMPLAINT_BYTES_MAX 4096
#define SHOWN_BYTES 300

struct running {
    const struct bw_program *program;
    pid_t pid;
    int pidfd, out, complaint; /* -1: at its end */
    struct bw_buf complaints;
};

static bool start(struct running *running, int out, int complaint, struct bw_error *err)
{
    const struct bw_program *program = running->program;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char **small = program->environment ? NULL : bw_child_environment();
    char *const *env = program->environment ? program->environment : small;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, complaint, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawn_file_actions_addchdir_np(&actions, program->folder);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0); /* it is ended with all that it has started */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int failure = env ? posix_spawnp(&running->pid, program->argv[0], &actions, &attributes, program->argv, env) : ENOMEM;
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(small);
    if (failure) return bw_error_set(err, "program.start", "cannot start %s: %s", program->argv[0], strerror(failure));
    if ((running->pidfd = pidfd_open(running->pid, 0)) >= 0) return true;
    return bw_error_set(err, "program.start", "cannot watch %s: %s", program->argv[0], strerror(errno));
}

/* False: it is more than that. */
static bool take(int *fd, struct bw_buf *into, size_t most)
{
    char bytes[4096];
    ssize_t got = read(*fd, bytes, sizeof bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (got <= 0) {
        close(*fd);
        *fd = -1;
        return true;
    }
    bool fits = into->len + (size_t)got <= most;
    bw_buf_append(into, bytes, fits ? (size_t)got : most - into->len);
    OPENSSL_cleanse(bytes, (size_t)got);
    return fits;
}

static bool too_large(const struct running *running, struct bw_error *err)
{
    return bw_error_set(err, "program.too_large", "%s has written more than %zu bytes", running->program->argv[0], running->program->most_bytes);
}

/* Until it has ended: what it has left behind may hold the other end of the pipes for ever. */
static bool read_all(struct running *running, struct bw_buf *out, struct bw_error *err)
{
    const struct bw_program *program = running->program;
    int64_t deadline_us = bw_clock_mono_us() + program->deadline_ms * 1000;
    for (bool has_ended = false;;) {
        struct pollfd fds[] = {{running->out, POLLIN, 0}, {running->complaint, POLLIN, 0}, {running->pidfd, POLLIN, 0}};
        int64_t left_us = deadline_us - bw_clock_mono_us();
        int ready = poll(fds, 3, has_ended ? 0 : left_us > 0 ? (int)(left_us / 1000 + 1) : 0);
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return bw_error_set(err, "program.start", "cannot wait for %s: %s", program->argv[0], strerror(errno));
        if (ready == 0 && !has_ended)
            return bw_error_set(err, "program.timeout", "%s has not ended within %lld s", program->argv[0], (long long)program->deadline_ms / 1000);
        if (fds[0].revents && !take(&running->out, out, program->most_bytes)) return too_large(running, err);
        if (fds[1].revents) (void)take(&running->complaint, &running->complaints, COMPLAINT_BYTES_MAX); /* the rest is read and dropped */
        if (has_ended && !fds[0].revents && !fds[1].revents) return true;
        has_ended |= fds[2].revents != 0;
    }
}

static struct bw_slice without_break(struct bw_slice text)
{
    while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r')) text.len--;
    return text;
}

/* One line of it, in which nothing that it was to keep secret is to be seen. */
static void complain(const struct running *running, int status, struct bw_slice said, struct bw_error *err)
{
    struct bw_buf shown = {0};
    char how[80];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
    if (said.len) bw_log_redact("its output", said);
    bw_redact_append(&shown, without_break(bw_buf_slice(&running->complaints)));
    if (shown.len > SHOWN_BYTES) shown.len = SHOWN_BYTES;
    for (size_t i = 0; i < shown.len; i++)
        if ((unsigned char)shown.data[i] < ' ' || shown.data[i] == 0x7f) shown.data[i] = ' ';
    bw_error_set(err, "program.exit", "%s %s%s%.*s", running->program->argv[0], how, shown.len ? ": " : "", (int)shown.len,
                 shown.len ? shown.data : "");
    bw_buf_free(&shown);
}

static bool end(struct running *running, bool has_read, struct bw_slice said, struct bw_error *err)
{
    int status = 0;
    if (!has_read) kill(-running->pid, SIGKILL);
    while (waitpid(running->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!has_read || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return has_read;
    complain(running, status, said, err);
    return false;
}

bool bw_program_read(const struct bw_program *program, struct bw_buf *out, struct bw_error *err)
{
    struct running running = {.program = program, .pidfd = -1, .out = -1, .complaint = -1};
    int pipes[2][2] = {{-1, -1}, {-1, -1}};
    bool good = (!pipe2(pipes[0], O_CLOEXEC) && !pipe2(pipes[1], O_CLOEXEC)) ||
                bw_error_set(err, "program.start", "cannot start %s: %s", program->argv[0], strerror(errno));
    running.out = pipes[0][0];
    running.complaint = pipes[1][0];
    if (good) {
        fcntl(running.out, F_SETFL, O_NONBLOCK);
        fcntl(running.complaint, F_SETFL, O_NONBLOCK);
        good = start(&running, pipes[0][1], pipes[1][1], err);
    }
    for (int i = 0; i < 2; i++)
        if (pipes[i][1] >= 0) close(pipes[i][1]);
    if (good) good = read_all(&running, out, err);
    if (running.pid) good = end(&running, good, without_break(bw_buf_slice(out)), err);
    if (good && out->failed) good = bw_error_set(err, "memory", "out of memory");
    if (running.pidfd >= 0) close(running.pidfd);
    if (running.out >= 0) close(running.out);
    if (running.complaint >= 0) close(running.complaint);
    bw_buf_free(&running.complaints);
    return good;
}
