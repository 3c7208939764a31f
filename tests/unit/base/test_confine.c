/* What a process that has confined itself can still do, and what not. Each case is a process of its own. */
#include "base/confine.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NO_SECCOMP 99
#define NOBODY 65534

static pid_t another; /* a process of the same user, with no more powers: what the machine itself lets it do is not what is asked */

/* 0: it works; else errno. */
static int result(long answer)
{
    return answer < 0 ? errno : 0;
}

static int start_program(void)
{
    return result(execl("/bin/true", "true", (char *)NULL));
}
static int start_process(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    return result(pid);
}
static int look_into_another(void)
{
    return result(ptrace(PTRACE_ATTACH, getppid(), 0, 0));
}
static int end_another(void)
{
    return result(kill(getppid(), 0));
}
static int slow_another_down(void)
{
    return result(setpriority(PRIO_PROCESS, (id_t)another, 0));
}
static int slow_all_of_the_user_down(void)
{
    return result(setpriority(PRIO_USER, 0, 0));
}
static int put_another_last(void)
{
    return result(sched_setscheduler(another, SCHED_OTHER, &(struct sched_param){0}));
}
static int put_another_last_at_the_disk(void)
{
    return result(syscall(SYS_ioprio_set, 1, another, 0));
}
static int move_another(void)
{
    cpu_set_t processors;
    return sched_getaffinity(0, sizeof processors, &processors) ? errno : result(sched_setaffinity(another, sizeof processors, &processors));
}
static int move_oneself(void)
{
    cpu_set_t processors;
    return sched_getaffinity(0, sizeof processors, &processors) ? errno : result(sched_setaffinity(0, sizeof processors, &processors));
}
static int raise_a_limit(void)
{
    struct rlimit limit = {64, 64};
    return result(setrlimit(RLIMIT_NOFILE, &limit));
}
static int read_a_limit(void)
{
    struct rlimit limit;
    return result(getrlimit(RLIMIT_NOFILE, &limit));
}
static int new_namespace(void)
{
    return result(unshare(CLONE_NEWUSER));
}
static int unix_socket(void)
{
    return result(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int inet_socket(void)
{
    return result(socket(AF_INET, SOCK_STREAM, 0));
}
static int inet6_socket(void)
{
    return result(socket(AF_INET6, SOCK_STREAM, 0));
}
static int raw_ring(void)
{
    return result(syscall(SYS_io_uring_setup, 1, NULL));
}
static int a_pair(void)
{
    int pair[2];
    return result(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}
static void *idle(void *arg)
{
    return arg;
}
static int a_thread(void)
{
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, idle, NULL);
    return failure ? failure : pthread_join(thread, NULL);
}
static int end_oneself(void)
{
    return result(kill(getpid(), 0));
}

static const struct {
    int (*act)(void);
    int with_network, without;
} acts[] = {
    {start_program, EPERM, EPERM},
    {start_process, EPERM, EPERM},
    {look_into_another, EPERM, EPERM},
    {end_another, EPERM, EPERM},
    {slow_another_down, EPERM, EPERM},
    {slow_all_of_the_user_down, EPERM, EPERM},
    {put_another_last, EPERM, EPERM},
    {put_another_last_at_the_disk, EPERM, EPERM},
    {move_another, EPERM, EPERM},
    {move_oneself, 0, 0},
    {raise_a_limit, EPERM, EPERM},
    {read_a_limit, 0, 0},
    {new_namespace, EPERM, EPERM},
    {unix_socket, EACCES, EACCES},
    {inet_socket, 0, EACCES},
    {inet6_socket, 0, EACCES},
    {raw_ring, EPERM, EPERM},
    {a_pair, 0, 0},
    {a_thread, 0, 0},
    {end_oneself, 0, 0},
};

static void become_nobody(void)
{
    if (!geteuid() && setuid(NOBODY)) _exit(NO_SECCOMP);
}

static int start_another(void **state)
{
    (void)state;
    if ((another = fork()) != 0) return another < 0;
    become_nobody();
    for (;;) pause();
}

static int end_it(void **state)
{
    (void)state;
    kill(another, SIGKILL);
    return waitpid(another, NULL, 0) != another;
}

static int in_a_process(int (*act)(void), bool network)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        become_nobody();
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        bw_confine_capabilities();
        _exit(bw_confine_calls(&(struct bw_needs){.network = network}) ? act() : NO_SECCOMP);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_what_reaches_out_of_the_process_fails_and_the_rest_works(void **state)
{
    (void)state;
    if (in_a_process(end_oneself, true) == NO_SECCOMP) skip();
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        for (int network = 0; network < 2; network++) {
            int expected = network ? acts[i].with_network : acts[i].without, got = in_a_process(acts[i].act, network);
            /* a machine without IPv6 says so itself */
            if (got != expected && !(acts[i].act == inet6_socket && got == EAFNOSUPPORT))
                fail_msg("act %zu, network %d: %d, not %d", i, network, got, expected);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_reaches_out_of_the_process_fails_and_the_rest_works)};
    return cmocka_run_group_tests(tests, start_another, end_it);
}
