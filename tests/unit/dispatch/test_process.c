/* Starting processes beside the main thread: what becomes of one that is not there yet. */
#include "dispatch/process.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
    struct event_base *base;
    unsigned ends;
    int wait_status;
    char how[128];
};

static void on_ended(struct bw_process *process, int wait_status, const char *how, void *arg)
{
    struct seen *seen = arg;
    seen->ends++;
    seen->wait_status = wait_status;
    snprintf(seen->how, sizeof seen->how, "%s", how);
    bw_process_free(process);
    event_base_loopbreak(seen->base);
}

/* out: what it writes as descriptor 3; nothing more of it is open here. */
static struct bw_process *start(struct seen *seen, int *out)
{
    struct bw_error err;
    int ends[2];
    *seen = (struct seen){.base = event_base_new()};
    assert_non_null(seen->base);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct bw_process *process = bw_process_spawn_beside(seen->base, "host", &ends[1], 1, on_ended, seen, &err);
    assert_non_null(process);
    *out = ends[0];
    return process;
}

static void finish(struct seen *seen, int out)
{
    close(out);
    event_base_free(seen->base);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left unburied */
    assert_int_equal(errno, ECHILD);
}

static void test_it_is_a_child_of_this_process_that_leads_a_group(void **state)
{
    struct seen seen;
    int out;
    pid_t told[3];
    (void)state;
    struct bw_process *process = start(&seen, &out);
    assert_int_equal(read(out, told, sizeof told), sizeof told);
    assert_int_equal(told[0], bw_process_pid(process));
    assert_int_equal(told[1], getpid());
    assert_int_equal(told[2], told[0]);
    assert_true(bw_process_resident_bytes(process) > 0);
    kill(told[0], SIGTERM);
    event_base_dispatch(seen.base);
    assert_int_equal(seen.ends, 1);
    assert_true(WIFSIGNALED(seen.wait_status) && WTERMSIG(seen.wait_status) == SIGTERM);
    assert_int_equal(read(out, told, sizeof told), 0); /* the other end is open nowhere */
    finish(&seen, out);
}

static void test_one_that_is_killed_before_it_is_there_ends_by_that(void **state)
{
    struct seen seen;
    int out;
    (void)state;
    for (int i = 0; i < 20; i++) {
        bw_process_kill(start(&seen, &out));
        event_base_dispatch(seen.base);
        assert_int_equal(seen.ends, 1);
        assert_true(WIFSIGNALED(seen.wait_status) && WTERMSIG(seen.wait_status) == SIGKILL);
        finish(&seen, out);
    }
}

static void test_one_that_is_freed_before_it_is_there_leaves_nothing(void **state)
{
    struct seen seen;
    char byte;
    int out;
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct bw_process *process = start(&seen, &out);
        if (i % 2) bw_process_kill(process);
        bw_process_free(process);
        while (read(out, &byte, 1) > 0) {
        }
        assert_int_equal(event_base_dispatch(seen.base), 1); /* there is no event any more */
        assert_int_equal(seen.ends, 0);
        finish(&seen, out);
    }
}

static void test_why_it_could_not_be_started_is_told_later(void **state)
{
    struct rlimit limit, few;
    struct seen seen;
    int out;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = 60; /* none of those above is to be had */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct bw_process *process = start(&seen, &out);
    assert_int_equal(bw_process_pid(process), 0);
    event_base_dispatch(seen.base);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(seen.ends, 1);
    assert_int_equal(seen.wait_status, BW_PROCESS_NOT_STARTED);
    assert_string_equal(seen.how, strerror(EINVAL));
    finish(&seen, out);
}

/* The process that is started: this program in that role. */
static int be_host(void)
{
    const pid_t told[3] = {getpid(), getppid(), getpgrp()};
    if (write(3, told, sizeof told) != sizeof told) return 1;
    for (;;) pause();
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "host")) return be_host();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_a_child_of_this_process_that_leads_a_group),
        cmocka_unit_test(test_one_that_is_killed_before_it_is_there_ends_by_that),
        cmocka_unit_test(test_one_that_is_freed_before_it_is_there_leaves_nothing),
        cmocka_unit_test(test_why_it_could_not_be_started_is_told_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
