/* What a step waits for, when its run is parked, and that nothing of it is left when it ends. */
#include "parking_fixture.h"

enum { RUN = 77 };
static const uint64_t KEY = 0xfedcba9876543210u, OTHER = 7; /* the first one is negative as SQLite sees it */

static void test_a_run_that_waits_is_parked_and_nobody_holds_it(void **state)
{
    (void)state;
    put_step(RUN, BW_RUN_PARKED, sleeping("nap", 5000));
    assert_int_equal(state_of(RUN), BW_RUN_PARKED);
    assert_int_equal(queue_of(RUN), 0);
    assert_rows(RUN, 1, 0, 0);
}

static void test_a_run_that_nobody_can_wake_is_refused_whole(void **state)
{
    struct bw_step_row done = step_row("done", BW_STEP_SUCCEEDED), idle = step_row("idle", BW_STEP_WAITING), nap = sleeping("nap", 5000);
    (void)state;
    assert_string_equal(try_put(RUN, BW_RUN_PARKED, &done, 1), "store.no_wake");
    assert_string_equal(try_put(RUN, BW_RUN_PARKED, &idle, 1), "store.no_wake");
    assert_int_equal(query("SELECT count(*) FROM runs"), 0);
    put(RUN, BW_RUN_PARKED, &nap, 1);
    nap.state = BW_STEP_SUCCEEDED;
    assert_string_equal(try_put(RUN, BW_RUN_PARKED, &nap, 1), "store.no_wake");
    assert_rows(RUN, 1, 0, 0); /* as it was */
    assert_int_equal(writer.parking.committed_due_ms, 5000);
}

static void test_an_active_run_may_register_waits_and_parks_later(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    (void)state;
    put_step(RUN, BW_RUN_ACTIVE, waiting("wait", &arm, 1, 5000));
    assert_int_equal(state_of(RUN), BW_RUN_ACTIVE);
    assert_int_equal(queue_of(RUN), 0);
    assert_rows(RUN, 1, 1, 0);
    put(RUN, BW_RUN_PARKED, NULL, 0);
    assert_int_equal(state_of(RUN), BW_RUN_PARKED);
}

static void test_a_new_wait_of_a_step_replaces_what_it_waited_for(void **state)
{
    const struct bw_wait_arm arms[] = {{KEY, first_event}, {OTHER, first_event}};
    struct bw_step_row again = sleeping("wait", 9000);
    (void)state;
    put_step(RUN, BW_RUN_PARKED, waiting("wait", arms, 2, 5000));
    assert_rows(RUN, 1, 2, 0);
    again.state = BW_STEP_RETRYING;
    put_step(RUN, BW_RUN_PARKED, again);
    assert_rows(RUN, 1, 0, 0);
    assert_int_equal(writer.parking.committed_due_ms, 9000);
    fire(9000);
    assert_rows(RUN, 0, 0, 1);
    put_step(RUN, BW_RUN_PARKED, waiting("wait", arms, 2, 0)); /* the wake goes with what it had ended */
    assert_rows(RUN, 0, 2, 0);
    assert_int_equal(state_of(RUN), BW_RUN_PARKED);
}

static void test_what_one_step_registers_leaves_the_others_alone(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    const struct bw_step_row both[] = {waiting("a", &arm, 1, 0), sleeping("b", 5000)};
    (void)state;
    put(RUN, BW_RUN_PARKED, both, 2);
    put_step(RUN, BW_RUN_PARKED, sleeping("b", 6000));
    assert_rows(RUN, 1, 1, 0);
    accept_key(KEY);
    assert_rows(RUN, 1, 0, 1);
    put_step(RUN, BW_RUN_PARKED, step_row("a", BW_STEP_SUCCEEDED));
    assert_rows(RUN, 1, 0, 0);
    assert_int_equal(state_of(RUN), BW_RUN_PARKED);
}

static void test_an_event_that_came_before_the_wait_satisfies_it_at_once(void **state)
{
    int64_t before = accept_key(KEY), lowest = accept_key(KEY);
    const struct bw_wait_arm arm = {KEY, before};
    (void)state;
    accept_key(KEY);
    put_step(RUN, BW_RUN_PARKED, waiting("wait", &arm, 1, 5000));
    assert_rows(RUN, 0, 0, 1);
    assert_int_equal(wake_of(RUN, "kind"), BW_WAKE_EVENT);
    assert_int_equal(wake_of(RUN, "event_id"), lowest); /* not the one that it excluded, nor the newest */
    assert_int_equal(wake_of(RUN, "at_ms"), START_MS);
    assert_int_equal(state_of(RUN), BW_RUN_ACTIVE); /* parking was a wish */
    assert_true(queue_of(RUN) > 0);
    assert_int_equal(writer.parking.committed_due_ms, 0);
}

static void test_of_several_arms_the_lowest_event_wins_and_of_one_event_the_first_arm(void **state)
{
    int64_t lowest = accept_key(OTHER);
    const struct bw_wait_arm arms[] = {{KEY, 0}, {OTHER, 0}, {OTHER, 0}};
    (void)state;
    accept_key(KEY);
    put_step(RUN, BW_RUN_PARKED, waiting("any", arms, 3, 0));
    assert_rows(RUN, 0, 0, 1);
    assert_int_equal(wake_of(RUN, "event_id"), lowest);
    assert_int_equal(wake_of(RUN, "arm"), 1);
}

static void test_the_look_back_and_the_event_may_share_a_commit(void **state)
{
    const uint64_t key = KEY;
    const struct bw_wait_arm arm = {KEY, first_event};
    const struct bw_step_row wait = waiting("wait", &arm, 1, 0);
    const struct bw_run_row row = {.uid = uid_of(RUN), .workflow = BW_SLICE("w"), .state = BW_RUN_PARKED, .steps = &wait, .step_count = 1};
    (void)state;
    for (int is_wait_first = 0; is_wait_first < 2; is_wait_first++) {
        struct bw_run_row run = row;
        run.uid = uid_of(RUN + (uint32_t)is_wait_first);
        struct bw_store_op wish = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &run, .run_count = 1}, event = accept_op(next_number++, "");
        event.event.keys = &key;
        event.event.key_count = 1;
        if (is_wait_first)
            wish.next = &event;
        else
            event.next = &wish;
        commit(is_wait_first ? &wish : &event);
        assert_int_equal(state_of(RUN + (uint32_t)is_wait_first), BW_RUN_ACTIVE);
        assert_rows(RUN + (uint32_t)is_wait_first, 0, 0, 1);
    }
}

/* The run parks and causes in the same report what it waits for. */
static void test_a_run_that_wakes_itself_while_it_parks_is_in_the_queue(void **state)
{
    const uint64_t key = KEY;
    const struct bw_wait_arm arm = {KEY, first_event};
    struct bw_event_new event = accept_op(next_number++, "").event;
    struct bw_step_row steps[] = {waiting("wait", &arm, 1, 5000), step_row("tell", BW_STEP_SUCCEEDED)};
    (void)state;
    event.keys = &key;
    event.key_count = 1;
    steps[1].emits = &event;
    steps[1].emit_count = 1;
    put(RUN, BW_RUN_PARKED, steps, 2); /* new to the store */
    assert_int_equal(state_of(RUN), BW_RUN_ACTIVE);
    assert_true(queue_of(RUN) > 0);
    assert_rows(RUN, 0, 0, 1);

    struct bw_wait_arm later = {OTHER, first_event};
    put_step(RUN + 1, BW_RUN_ACTIVE, waiting("wait", &later, 1, 5000)); /* known already */
    event.uid = uid_of(next_number++);
    event.keys = &OTHER;
    put(RUN + 1, BW_RUN_PARKED, &steps[1], 1);
    assert_int_equal(state_of(RUN + 1), BW_RUN_ACTIVE);
    assert_true(queue_of(RUN + 1) > 0);
    assert_rows(RUN + 1, 0, 0, 1);
    assert_sound();
}

static void test_a_wake_that_finds_the_run_active_is_found_by_the_next_park(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    (void)state;
    put_step(RUN, BW_RUN_ACTIVE, waiting("wait", &arm, 1, 5000));
    accept_key(KEY);
    assert_rows(RUN, 0, 0, 1);
    assert_int_equal(queue_of(RUN), 0); /* its owner goes on */
    put_step(RUN, BW_RUN_PARKED, sleeping("nap", 9000));
    assert_int_equal(state_of(RUN), BW_RUN_ACTIVE);
    assert_true(queue_of(RUN) > 0);
}

static void test_a_run_does_not_stay_parked_before_its_wake_is_dealt_with(void **state)
{
    const struct bw_step_row both[] = {sleeping("a", 1000), sleeping("b", 9000)};
    (void)state;
    put(RUN, BW_RUN_PARKED, both, 2);
    fire(1000);
    int64_t place = queue_of(RUN);
    assert_true(place > 0);
    put(RUN, BW_RUN_PARKED, NULL, 0);
    assert_int_equal(state_of(RUN), BW_RUN_ACTIVE);
    assert_true(queue_of(RUN) > place); /* who reads on behind the last place sees it again */
    put_step(RUN, BW_RUN_PARKED, step_row("a", BW_STEP_SUCCEEDED));
    assert_int_equal(state_of(RUN), BW_RUN_PARKED);
    assert_int_equal(queue_of(RUN), 0);
}

static void test_a_woken_run_stays_in_the_queue_while_it_reports(void **state)
{
    (void)state;
    put_step(RUN, BW_RUN_PARKED, sleeping("a", 1000));
    fire(1000);
    int64_t place = queue_of(RUN);
    put_step(RUN, BW_RUN_ACTIVE, step_row("a", BW_STEP_SUCCEEDED));
    assert_rows(RUN, 0, 0, 0);
    assert_int_equal(queue_of(RUN), place);
    reopen_writer(&defaults);
    assert_int_equal(queue_of(RUN), place);
}

static void test_places_in_the_queue_ascend(void **state)
{
    int64_t last = 0;
    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        put_step(i, BW_RUN_PARKED, sleeping("a", 1000));
        fire(1000);
        assert_true(queue_of(i) > last);
        last = queue_of(i);
        put(i, BW_RUN_SUCCEEDED, NULL, 0); /* the queue is empty again */
    }
    put_step(9, BW_RUN_PARKED, sleeping("a", 1000));
    fire(1000);
    last = queue_of(9);
    reopen_writer(&defaults);
    put_step(10, BW_RUN_PARKED, sleeping("a", 1000));
    fire(1000);
    assert_true(queue_of(10) > last);
}

static void test_a_late_report_does_not_take_a_parked_run_from_the_store(void **state)
{
    (void)state;
    put_step(RUN, BW_RUN_PARKED, sleeping("a", 1000));
    put_step(RUN, BW_RUN_ACTIVE, step_row("late", BW_STEP_SUCCEEDED));
    assert_int_equal(state_of(RUN), BW_RUN_PARKED);
    assert_int_equal(rows_of("steps", RUN), 2);
    assert_rows(RUN, 1, 0, 0);
}

static void test_an_ended_run_leaves_nothing_behind(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    const struct bw_step_row all[] = {sleeping("woken", 1000), waiting("wait", &arm, 1, 5000), sleeping("nap", 6000)};
    static const enum bw_run_state ends[] = {BW_RUN_SUCCEEDED, BW_RUN_FAILED, BW_RUN_CANCELLED, BW_RUN_SKIPPED};
    (void)state;
    for (uint32_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        put(i, BW_RUN_PARKED, all, 3);
        fire(1000);
        assert_rows(i, 2, 1, 1);
        put(i, ends[i], all, 3); /* what it still says of waiting steps counts no more */
        assert_int_equal(state_of(i), ends[i]);
        assert_int_equal(queue_of(i), 0);
        assert_rows(i, 0, 0, 0);
        assert_int_equal(writer.parking.committed_due_ms, 0);
    }
    put(9, BW_RUN_SUCCEEDED, all, 3);
    assert_rows(9, 0, 0, 0);
    put(0, BW_RUN_PARKED, all, 3); /* it has ended */
    assert_int_equal(state_of(0), BW_RUN_SUCCEEDED);
    assert_rows(0, 0, 0, 0);
}

static void test_a_step_that_ends_in_its_own_report_leaves_nothing_behind(void **state)
{
    const struct bw_step_row twice[] = {sleeping("a", 1000), step_row("a", BW_STEP_SUCCEEDED), sleeping("b", 2000)};
    (void)state;
    put(RUN, BW_RUN_PARKED, twice, 3);
    assert_rows(RUN, 1, 0, 0);
    assert_int_equal(writer.parking.committed_due_ms, 2000);
}

/* Each statement that is run counts, so that parking costs a run that never parks nothing. */
static int steps_run;
static int count_statement(unsigned kind, void *arg, void *statement, void *text)
{
    (void)kind, (void)arg, (void)statement, (void)text;
    steps_run++;
    return 0;
}

static void test_a_run_that_never_parks_costs_no_statement_more(void **state)
{
    struct bw_step_row step = step_row("one", BW_STEP_SUCCEEDED);
    (void)state;
    sqlite3_trace_v2(writer.db, SQLITE_TRACE_STMT, count_statement, NULL);
    put(1, BW_RUN_SUCCEEDED, &step, 1);
    assert_int_equal(steps_run, 4); /* BEGIN, run, step, COMMIT */
    put(2, BW_RUN_ACTIVE, &step, 1);
    steps_run = 0;
    put(2, BW_RUN_ACTIVE, &step, 1);
    assert_int_equal(steps_run, 6); /* BEGIN, run, found, updated, step, COMMIT */
    steps_run = 0;
    put(2, BW_RUN_SUCCEEDED, &step, 1);
    assert_int_equal(steps_run, 7); /* and one look at the queue */
    steps_run = 0;
    add_event(0, "", 0);
    assert_int_equal(steps_run, 6); /* BEGIN, event, body, pending, delivery, COMMIT */
    sqlite3_trace_v2(writer.db, 0, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_a_run_that_waits_is_parked_and_nobody_holds_it),
        PARKING(test_a_run_that_nobody_can_wake_is_refused_whole),
        PARKING(test_an_active_run_may_register_waits_and_parks_later),
        PARKING(test_a_new_wait_of_a_step_replaces_what_it_waited_for),
        PARKING(test_what_one_step_registers_leaves_the_others_alone),
        PARKING(test_an_event_that_came_before_the_wait_satisfies_it_at_once),
        PARKING(test_of_several_arms_the_lowest_event_wins_and_of_one_event_the_first_arm),
        PARKING(test_the_look_back_and_the_event_may_share_a_commit),
        PARKING(test_a_run_that_wakes_itself_while_it_parks_is_in_the_queue),
        PARKING(test_a_wake_that_finds_the_run_active_is_found_by_the_next_park),
        PARKING(test_a_run_does_not_stay_parked_before_its_wake_is_dealt_with),
        PARKING(test_a_woken_run_stays_in_the_queue_while_it_reports),
        PARKING(test_places_in_the_queue_ascend),
        PARKING(test_a_late_report_does_not_take_a_parked_run_from_the_store),
        PARKING(test_an_ended_run_leaves_nothing_behind),
        PARKING(test_a_step_that_ends_in_its_own_report_leaves_nothing_behind),
        PARKING(test_a_run_that_never_parks_costs_no_statement_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
