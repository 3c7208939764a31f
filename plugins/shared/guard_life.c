/* The guard's process, and what becomes the program. Both come from a fork of the host: nothing here allocates, locks or returns. */
#include "shared/guard_life.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOST_GRACE_MS 2000 /* of a program whose host is gone, and of what an ended one has left behind */
#define HIGH 64            /* above those that the guard has in the end */
#define NEVER INT64_MAX

static void tell(enum guard_event event, int value, enum guard_stage stage)
{
    struct guard_news news = {.event = event, .value = value, .stage = stage};
    ssize_t ignored = write(GUARD_WAY_REPORT, &news, sizeof news); /* the host may be gone */
    (void)ignored;
}

/* ---- the program ---- */

/* Nothing of the tree leaves its process group from here on. Where there is no seccomp, it is as guard.h says. */
static void stay_in_the_group(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#else
#define MACHINE AUDIT_ARCH_AARCH64
#endif
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 0, 3), /* what else there could be, the filter of the host has refused */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setpgid, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsid, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){.len = sizeof rules / sizeof *rules, .filter = rules});
#endif
}

/* As a shell would have them: what the host ignores or catches is nothing that a program expects. */
static void reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The host's limits of size are for the host: a program has those that the engine has. Not by setrlimit() of the C library, which takes another call.
 */
static void raise_limits(void)
{
    static const int resources[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE};
    struct rlimit limit;
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (getrlimit((__rlimit_resource_t)resources[i], &limit)) continue;
        limit.rlim_cur = limit.rlim_max;
        syscall(SYS_setrlimit, resources[i], &limit);
    }
}

static _Noreturn void give_up(enum guard_stage stage)
{
    tell(GUARD_NOT_STARTED, errno, stage);
    _exit(127);
}

static _Noreturn void become(const struct guard_program *program, pid_t guard)
{
    if (setpgid(0, 0)) give_up(GUARD_GROUP);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard) _exit(127);
    if (chdir(program->folder ? program->folder : "/")) give_up(GUARD_FOLDER);
    raise_limits();
    stay_in_the_group();
    reset_signals();
    execve(program->path, program->argv, program->environment);
    give_up(GUARD_EXECUTE);
}

/* ---- the guard ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* 0 to 4, and no others: neither the program nor this one keeps anything of the host open. */
static bool take_ways(const int *ways)
{
    int high[GUARD_WAYS];
    for (int way = 0; way < GUARD_WAYS; way++)
        if ((high[way] = fcntl(ways[way], F_DUPFD_CLOEXEC, HIGH)) < 0) return false;
    for (int way = 0; way < GUARD_WAYS; way++)
        if (way <= GUARD_WAY_ERR)
            dup2(high[way], way);
        else
            dup3(high[way], way, O_CLOEXEC);
    close_range(GUARD_WAYS, ~0u, 0);
    return true;
}

struct life {
    pid_t program;
    bool is_ending;
    int64_t kill_at_ms;
};

static void end(struct life *life, int grace_ms)
{
    int64_t kill_at_ms = now_ms() + (grace_ms > 0 ? grace_ms : 0);
    if (kill_at_ms < life->kill_at_ms) life->kill_at_ms = kill_at_ms;
    if (life->is_ending || grace_ms <= 0) return;
    kill(-life->program, SIGTERM);
    kill(-life->program, SIGCONT); /* one that is stopped would not hear of it */
    life->is_ending = true;
}

/* False: there is no child any more, and so nothing of the tree. */
static bool reap(struct life *life)
{
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
        if (ended != life->program) continue;
        tell(GUARD_ENDED, status, 0);
        end(life, LOST_GRACE_MS);
    }
    return ended == 0 || errno == EINTR;
}

/* The host says how long the program has, or is gone. */
static bool hear(struct life *life)
{
    int grace_ms;
    ssize_t got = read(GUARD_WAY_LEASH, &grace_ms, sizeof grace_ms);
    end(life, got == sizeof grace_ms ? grace_ms : LOST_GRACE_MS);
    return got == sizeof grace_ms || (got < 0 && errno == EINTR);
}

static int wait_ms(const struct life *life)
{
    if (life->kill_at_ms == NEVER) return -1;
    int64_t left_ms = life->kill_at_ms - now_ms();
    return left_ms > 0 ? (int)left_ms : 0;
}

static void watch(struct life *life)
{
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    struct pollfd waits[] = {{.fd = GUARD_WAY_LEASH, .events = POLLIN}, {.fd = signalfd(-1, &children, SFD_CLOEXEC), .events = POLLIN}};
    while (reap(life)) {
        struct signalfd_siginfo ignored;
        poll(waits, 2, wait_ms(life));
        if (waits[1].revents && read(waits[1].fd, &ignored, sizeof ignored) < 0) continue;
        if (waits[0].revents && !hear(life)) waits[0].fd = -1;
        if (life->kill_at_ms > now_ms()) continue;
        kill(-life->program, SIGKILL);
        life->kill_at_ms = now_ms() + LOST_GRACE_MS; /* again, if need be: where there is no seccomp, some may have come back */
    }
}

void guard_live(const struct guard_program *program, const int *ways)
{
    pid_t self = getpid();
    if (!take_ways(ways)) _exit(1);
    prctl(PR_SET_NAME, "guard");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGCHLD, SIG_DFL);
    if (setpgid(0, 0)) { /* whoever kills the host with its group leaves the guard to do the rest */
        tell(GUARD_NOT_STARTED, errno, GUARD_GROUP);
        _exit(0);
    }
    struct life life = {.program = fork(), .kill_at_ms = NEVER};
    if (life.program == 0) become(program, self);
    if (life.program < 0) {
        tell(GUARD_NOT_STARTED, errno, GUARD_FORK);
        _exit(0);
    }
    setpgid(life.program, life.program); /* whoever comes first */
    for (int fd = GUARD_WAY_IN; fd <= GUARD_WAY_ERR; fd++) close(fd);
    tell(GUARD_STARTED, life.program, 0);
    watch(&life);
    _exit(0);
}
