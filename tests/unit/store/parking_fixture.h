/* parking_fixture.h: runs that wait, in a writer without its thread. All of them belong to one event, which stays pending. */
#ifndef BW_TEST_PARKING_FIXTURE_H
#define BW_TEST_PARKING_FIXTURE_H
#include "retention_fixture.h"
#include <sys/wait.h>
#include <unistd.h>

static int64_t first_event;

__attribute__((unused)) static int parking_setup(void **state)
{
    if (setup(state)) return -1;
    first_event = add_event(0, "", 0);
    return 0;
}

/* An event with these keys; its id. */
__attribute__((unused)) static int64_t accept_keys(const uint64_t *keys, size_t count)
{
    struct bw_store_op op = accept_op(next_number++, "");
    op.event.at_ms = wall_ms;
    op.event.is_done = true;
    op.event.keys = keys;
    op.event.key_count = count;
    commit(&op);
    return op.event_id;
}

__attribute__((unused)) static int64_t accept_key(uint64_t key)
{
    return accept_keys(&key, 1);
}

__attribute__((unused)) static struct bw_step_row step_row(const char *path, enum bw_step_state state)
{
    return (struct bw_step_row){.path = bw_slice_of(path), .state = state, .attempt = 1, .started_ms = 1};
}

__attribute__((unused)) static struct bw_step_row sleeping(const char *path, int64_t due_ms)
{
    struct bw_step_row step = step_row(path, BW_STEP_WAITING);
    step.due_ms = due_ms;
    return step;
}

__attribute__((unused)) static struct bw_step_row waiting(const char *path, const struct bw_wait_arm *arms, size_t count, int64_t due_ms)
{
    struct bw_step_row step = sleeping(path, due_ms);
    step.arms = arms;
    step.arm_count = count;
    return step;
}

/* The report's error code; "" = it was committed. */
__attribute__((unused)) static const char *try_put(uint32_t run, enum bw_run_state state, const struct bw_step_row *steps, size_t count)
{
    static struct bw_error err;
    struct bw_run_row row = {
        .uid = uid_of(run), .workflow = BW_SLICE("deploy"), .state = state, .started_ms = 1, .steps = steps, .step_count = count};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1}, *culprit;
    err = (struct bw_error){0};
    return bw_writer_commit(&writer, &op, &culprit, &err) ? "" : err.code;
}

__attribute__((unused)) static void put(uint32_t run, enum bw_run_state state, const struct bw_step_row *steps, size_t count)
{
    assert_string_equal(try_put(run, state, steps, count), "");
}

__attribute__((unused)) static void put_step(uint32_t run, enum bw_run_state state, struct bw_step_row step)
{
    put(run, state, &step, 1);
}

/* Fires what is due at now_ms; is there more? */
__attribute__((unused)) static bool fire(int64_t now_ms)
{
    struct bw_store_op op = {.kind = BW_OP_WAKE, .now_ms = now_ms};
    commit(&op);
    return op.more;
}

static int64_t of_run(const char *select, uint32_t run, const char *rest)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT coalesce((SELECT %s run_id = (SELECT id FROM runs WHERE uid = x'0100000000000000000000%010x') %s), 0)", select,
             (unsigned)run, rest);
    return query(sql);
}

__attribute__((unused)) static enum bw_run_state state_of(uint32_t run)
{
    return (enum bw_run_state)of_run("state FROM (SELECT id AS run_id, state FROM runs) WHERE", run, "");
}

__attribute__((unused)) static int64_t queue_of(uint32_t run) /* its id there, 0 = not there */
{
    return of_run("id FROM queue WHERE", run, "");
}

__attribute__((unused)) static int64_t rows_of(const char *table, uint32_t run)
{
    char select[64];
    snprintf(select, sizeof select, "count(*) FROM %s WHERE", table);
    return of_run(select, run, "");
}

#define assert_rows(run, timers, waits, wakes)              \
    do {                                                    \
        assert_int_equal(rows_of("timers", run), (timers)); \
        assert_int_equal(rows_of("waits", run), (waits));   \
        assert_int_equal(rows_of("wakes", run), (wakes));   \
    } while (0)

/* A column of the run's one wake. */
__attribute__((unused)) static int64_t wake_of(uint32_t run, const char *column)
{
    char select[64];
    snprintf(select, sizeof select, "%s FROM wakes WHERE", column);
    return of_run(select, run, "");
}

#define PARKING(test) cmocka_unit_test_setup_teardown(test, parking_setup, teardown)

/* This test program again, as a process that lives in the test's folder and dies at a crash point ("NAME:HIT"): its exit status. */
__attribute__((unused)) static int run_child(const char *crash)
{
    char variable[80], event[24];
    int status;
    snprintf(variable, sizeof variable, "BELLWIRE_CRASH=%s", crash);
    snprintf(event, sizeof event, "%lld", (long long)first_event);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *args[] = {(char *)"child", (char *)"child", folder, event, NULL}, *environment[] = {variable, NULL};
        execve("/proc/self/exe", args, environment);
        _exit(4);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}
#endif
