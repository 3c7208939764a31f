/* What must not happen is made to happen by hand: the sweeper finds each kind of it, puts it right, says so and counts it; and it finds nothing else.
 */
#include "parking_fixture.h"

static const struct bw_retention_config never;

static void slices(size_t count)
{
    struct bw_error err = {0};
    while (count--) assert_no_error(bw_sweep_slice(&writer, &err), err);
}

/* All that a pass looks at, when each of its checks has less than a slice's rows. */
static size_t sweep(void)
{
    uint64_t before = writer.sweep.repairs;
    slices(BW_SWEEP_CHECKS);
    assert_int_equal(writer.sweep.check, 0);
    return (size_t)(writer.sweep.repairs - before);
}

static void damage(const char *sql)
{
    struct bw_error err = {0};
    assert_no_error(bw_sql_exec(writer.db, sql, &err), err);
}

static void fan_out(uint32_t run, uint32_t total)
{
    static char items[500];
    for (uint32_t i = 0; i < total; i++) memcpy(items + 5 * i, "\1\0\0\0007", 5);
    const struct bw_join_new join = {
        .workflow = BW_SLICE("deploy"), .items = {items, 5 * (size_t)total}, .total = total, .concurrency = 2, .allowed = 0, .depth = 1};
    struct bw_step_row step = step_row("fan", BW_STEP_WAITING);
    step.join = &join;
    put_step(run, BW_RUN_PARKED, step);
}

static void end_child(uint32_t run, uint32_t item)
{
    struct bw_run_row row = {.uid = bw_uid_of_child(uid_of(run), BW_SLICE("fan"), item), .workflow = BW_SLICE("deploy"), .state = BW_RUN_SUCCEEDED};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    commit(&op);
}

/* Found once, repaired, and counted for good. */
static void assert_repaired(size_t count)
{
    assert_int_equal(count_faults(), count);
    assert_int_equal(sweep(), count);
    assert_int_equal(count_faults(), 0);
    assert_int_equal(sweep(), 0);
    assert_sound();
    uint64_t repairs = writer.sweep.repairs;
    reopen_writer(&never);
    assert_int_equal(writer.sweep.repairs, repairs);
}

static void test_a_sound_store_is_left_alone(void **state)
{
    const struct bw_wait_arm arm = {.key = 7};
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("a", wall_ms + 5));
    put_step(2, BW_RUN_PARKED, waiting("a", &arm, 1, 0));
    fan_out(3, 3);
    put_step(4, BW_RUN_PARKED, sleeping("a", wall_ms));
    fire(wall_ms);
    put(5, BW_RUN_ACTIVE, NULL, 0);
    put(6, BW_RUN_SUCCEEDED, NULL, 0);
    assert_int_equal(count_faults(), 0);
    uint64_t changes = (uint64_t)sqlite3_total_changes64(writer.db);
    assert_int_equal(sweep(), 0);
    assert_int_equal(sqlite3_total_changes64(writer.db), changes);
}

static void test_a_parked_run_with_a_wake_goes_on(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("a", wall_ms));
    fire(wall_ms);
    damage("UPDATE runs SET state = 3; DELETE FROM queue");
    assert_repaired(1);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1));
}

static void test_a_parked_run_that_nothing_can_wake_goes_on(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("a", wall_ms + 5));
    put_step(2, BW_RUN_PARKED, sleeping("a", wall_ms + 5));
    damage("DELETE FROM timers WHERE run_id = (SELECT min(run_id) FROM timers)");
    assert_repaired(1);
    assert_true(queue_of(1));
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_TIMER);
    assert_int_equal(state_of(2), BW_RUN_PARKED);
}

static void test_an_active_run_that_nobody_has_is_put_into_the_queue(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("a", wall_ms));
    fire(wall_ms);
    damage("DELETE FROM queue; DELETE FROM pending");
    assert_repaired(1);
    assert_true(queue_of(1));
}

static void test_what_an_ended_run_left_goes(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 4; run++) put(run, BW_RUN_SUCCEEDED, NULL, 0);
    damage("INSERT INTO timers(due_ms, run_id, path) VALUES(5, 1, 'a'); INSERT INTO waits(khash, run_id, path, arm, since_event) VALUES(5, 2, 'a', "
           "0, 0);"
           "INSERT INTO wakes(run_id, path, kind, arm, at_ms) VALUES(3, 'a', 1, 0, 5); INSERT INTO queue(id, run_id) VALUES(999, 4)");
    assert_repaired(4);
    assert_int_equal(query("SELECT (SELECT count(*) FROM timers) + (SELECT count(*) FROM waits) + (SELECT count(*) FROM wakes) + "
                           "(SELECT count(*) FROM queue)"),
                     0);
}

static void test_what_a_run_left_that_is_gone_goes(void **state)
{
    (void)state;
    damage("INSERT INTO timers(due_ms, run_id, path) VALUES(5, 77, 'a'); INSERT INTO queue(id, run_id) VALUES(999, 78)");
    assert_repaired(2);
    assert_int_equal(query("SELECT (SELECT count(*) FROM timers) + (SELECT count(*) FROM queue)"), 0);
}

static void test_a_parked_run_is_taken_out_of_the_queue(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("a", wall_ms + 5));
    damage("INSERT INTO queue(id, run_id) SELECT 999, id FROM runs");
    assert_repaired(1);
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_rows(1, 1, 0, 0);
}

static void test_children_without_a_parent_end(void **state)
{
    (void)state;
    fan_out(1, 5);
    damage("UPDATE runs SET state = 20 WHERE id NOT IN (SELECT run_id FROM children)");
    assert_repaired(1);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 22"), 2);
}

static void test_a_parent_whose_children_have_all_ended_goes_on(void **state)
{
    (void)state;
    fan_out(1, 2);
    end_child(1, 0);
    end_child(1, 1);
    damage("DELETE FROM wakes; DELETE FROM queue; UPDATE runs SET state = 3 WHERE id NOT IN (SELECT run_id FROM children)");
    assert_repaired(1);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_CHILD);
}

static void test_ends_that_were_not_counted_are_and_the_next_items_start(void **state)
{
    (void)state;
    fan_out(1, 4);
    damage("UPDATE runs SET state = 20 WHERE id IN (SELECT run_id FROM children); DELETE FROM queue");
    assert_repaired(1);
    assert_int_equal(query("SELECT started * 100 + succeeded * 10 + failed FROM joins"), 420);
    assert_int_equal(query("SELECT count(*) FROM queue"), 2);
}

static void test_many_are_looked_at_in_slices_and_no_more_than_a_share_a_minute(void **state)
{
    enum { RUNS = 150 * BW_SWEEP_ROWS };
    (void)state;
    damage("WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 30000)"
           "INSERT INTO runs(uid, event_id, workflow, version, state, lost, started_ms, ended_ms) SELECT CAST('u' || i AS BLOB), 1, 'w', x'00', 3, "
           "0, 1, 0 FROM n;"
           "INSERT INTO timers(due_ms, run_id, path) SELECT 9, id, 'a' FROM runs; DELETE FROM timers WHERE run_id = 29999");
    assert_int_equal(query("SELECT count(*) FROM runs"), RUNS);
    slices(99);
    assert_int_equal(bw_sweep_wait_us(&writer.sweep, true), 0);
    assert_in_range(bw_sweep_wait_us(&writer.sweep, false), 1, 500000); /* others wait */
    slices(1);
    assert_in_range(bw_sweep_wait_us(&writer.sweep, true), 1, 60000000);
    assert_int_equal(writer.sweep.repairs, 0);
    mono_us += 60000000;
    assert_int_equal(bw_sweep_wait_us(&writer.sweep, true), 0);
    slices(50); /* where it was, up to the end */
    assert_int_equal(writer.sweep.repairs, 1);
}

static void test_events_that_were_collected_and_forgotten_get_their_run(void **state)
{
    (void)state;
    struct bw_run_row row = {.workflow = BW_SLICE("gather"), .state = BW_RUN_BLOCKED, .collect = {.quiet_ms = HOUR_MS, .max_events = 10}};
    for (unsigned char group = 1; group <= 3; group++) {
        memset(row.collect.group, group, sizeof row.collect.group);
        struct bw_store_op op = {
            .kind = BW_OP_REPORT, .event_id = add_event(0, "", 0), .runs = &row, .run_count = 1, .event_done = true, .matched = 1};
        commit(&op);
    }
    assert_int_equal(sweep(), 0);
    damage("UPDATE collectors SET due_ms = NULL, grp = NULL WHERE id = 1"); /* closed, without a run */
    damage("DELETE FROM collected WHERE collector_id = 2");                 /* with nothing in it */
    assert_int_equal(count_faults(), 2);
    assert_int_equal(sweep(), 2);
    fire(wall_ms);
    assert_int_equal(count_faults(), 0);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE collector_id = 1 AND state = 2"), 1);
    assert_int_equal(query("SELECT count(*) FROM collectors WHERE id = 2"), 0);
    assert_int_equal(query("SELECT count(*) FROM collectors WHERE id = 3 AND due_ms IS NOT NULL"), 1);
    assert_sound();
}

static void test_a_held_run_of_a_workflow_that_is_not_paused_begins(void **state)
{
    struct bw_store_op op = {.kind = BW_OP_PAUSE, .now_ms = wall_ms, .pause = {.workflow = BW_SLICE("deploy"), .actor = BW_SLICE("me")}};
    (void)state;
    commit(&op);
    put(1, BW_RUN_BLOCKED, NULL, 0);
    assert_int_equal(state_of(1), BW_RUN_HELD);
    assert_int_equal(sweep(), 0);
    damage("DELETE FROM pauses");
    assert_repaired(1);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
}

static void test_the_idle_writer_sweeps_at_its_start_and_each_minute(void **state)
{
    struct bw_error err = {0};
    int again_ms = 0;
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("a", wall_ms + 5));
    reopen_writer(&never);
    writer.reserve_tried_us = mono_us;
    for (int round = 0; round < 2; round++) {
        damage("DELETE FROM timers; DELETE FROM queue; UPDATE runs SET state = 3");
        for (again_ms = 0; again_ms == 0;) assert_no_error(bw_writer_idle(&writer, &again_ms, &err), err);
        assert_int_equal(writer.sweep.repairs, round + 1);
        assert_in_range(again_ms, 1, 60001);
        mono_us += 60000000;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_a_sound_store_is_left_alone),
        PARKING(test_a_parked_run_with_a_wake_goes_on),
        PARKING(test_a_parked_run_that_nothing_can_wake_goes_on),
        PARKING(test_an_active_run_that_nobody_has_is_put_into_the_queue),
        PARKING(test_what_an_ended_run_left_goes),
        PARKING(test_what_a_run_left_that_is_gone_goes),
        PARKING(test_a_parked_run_is_taken_out_of_the_queue),
        PARKING(test_children_without_a_parent_end),
        PARKING(test_a_parent_whose_children_have_all_ended_goes_on),
        PARKING(test_ends_that_were_not_counted_are_and_the_next_items_start),
        PARKING(test_many_are_looked_at_in_slices_and_no_more_than_a_share_a_minute),
        PARKING(test_events_that_were_collected_and_forgotten_get_their_run),
        PARKING(test_a_held_run_of_a_workflow_that_is_not_paused_begins),
        PARKING(test_the_idle_writer_sweeps_at_its_start_and_each_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
