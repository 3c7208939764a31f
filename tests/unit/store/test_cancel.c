/* Who wants a run cancelled: the flag, whom it wakes, and when it is done with. */
#include "parking_fixture.h"

static enum bw_run_state ask(uint32_t run, const char *why)
{
    struct bw_store_op op = {.kind = BW_OP_CANCEL,
                             .now_ms = 77,
                             .cancel = {.run = uid_of(run), .why = bw_slice_of(why), .reason = BW_SLICE("wrong"), .actor = BW_SLICE("me")}};
    commit(&op);
    return op.cancel.found;
}

static int64_t flagged(const char *why)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM runs WHERE cancel = '%s'", why);
    return query(sql);
}

/* Its steps have ended, what follows them has not. */
static void put_settled(uint32_t run, enum bw_run_state state, struct bw_step_row step)
{
    struct bw_run_row row = {
        .uid = uid_of(run), .workflow = BW_SLICE("deploy"), .state = state, .started_ms = 1, .is_settled = true, .steps = &step, .step_count = 1};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    commit(&op);
}

static void test_a_parked_run_is_woken_and_says_why(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    assert_int_equal(ask(1, "{1}"), BW_RUN_PARKED);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
    assert_int_equal(flagged("{1}"), 1);
    assert_int_equal(query("SELECT count(*) FROM audit WHERE verb = 'cancel' AND actor = 'me' AND detail = 'wrong' AND at_ms = 77"), 1);
    assert_rows(1, 1, 0, 1);
    put_step(1, BW_RUN_CANCELLED, step_row("nap", BW_STEP_CANCELLED));
    assert_int_equal(state_of(1), BW_RUN_CANCELLED);
    assert_int_equal(queue_of(1), 0);
    assert_rows(1, 0, 0, 0);
}

static void test_a_run_that_is_executing_does_not_park_any_more(void **state)
{
    (void)state;
    put_step(1, BW_RUN_ACTIVE, step_row("a", BW_STEP_SUCCEEDED));
    assert_int_equal(ask(1, "{1}"), BW_RUN_ACTIVE);
    assert_int_equal(queue_of(1), 0); /* its worker has it */
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
}

static void test_nothing_is_left_of_it_when_a_run_without_waiting_steps_ends(void **state)
{
    (void)state;
    put_step(1, BW_RUN_ACTIVE, step_row("a", BW_STEP_SUCCEEDED));
    ask(1, "{1}");
    put_step(1, BW_RUN_CANCELLED, step_row("b", BW_STEP_CANCELLED));
    assert_rows(1, 0, 0, 0);
}

static void test_what_follows_the_end_may_park(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    ask(1, "{1}");
    put_settled(1, BW_RUN_ACTIVE, step_row("nap", BW_STEP_CANCELLED));
    put_settled(1, BW_RUN_PARKED, sleeping("later", 6000));
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_int_equal(queue_of(1), 0);
    assert_rows(1, 1, 0, 0);
    assert_int_equal(flagged("{1}"), 1);
}

static void test_of_several_the_first_one_stays(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    ask(1, "{1}");
    int64_t place = queue_of(1);
    assert_int_equal(ask(1, "{2}"), BW_RUN_ACTIVE);
    assert_int_equal(flagged("{1}"), 1);
    assert_int_equal(queue_of(1), place);
    assert_int_equal(query("SELECT count(*) FROM audit"), 1);
}

static void test_what_has_ended_or_was_never_there_is_left_alone(void **state)
{
    (void)state;
    put_step(1, BW_RUN_SUCCEEDED, step_row("a", BW_STEP_SUCCEEDED));
    assert_int_equal(ask(1, "{1}"), BW_RUN_SUCCEEDED);
    assert_int_equal(ask(2, "{2}"), 0);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE cancel IS NOT NULL"), 0);
    assert_int_equal(query("SELECT count(*) FROM audit"), 0);
    assert_rows(1, 0, 0, 0);
}

static void test_a_report_names_the_children_that_it_cancels(void **state)
{
    static const char items[] = "\x01\0\0\0"
                                "1"
                                "\x01\0\0\0"
                                "2"
                                "\x01\0\0\0"
                                "3";
    const struct bw_join_new join = {
        .workflow = BW_SLICE("deploy"), .items = {items, sizeof items - 1}, .total = 3, .concurrency = 2, .allowed = 0, .depth = 1};
    struct bw_step_row step = step_row("all", BW_STEP_WAITING);
    struct bw_run_ids dropped = {0};
    (void)state;
    step.join = &join;
    put_step(1, BW_RUN_PARKED, step);
    struct bw_step_row ended = step_row("all", BW_STEP_CANCELLED);
    struct bw_run_row row = {
        .uid = uid_of(1), .workflow = BW_SLICE("deploy"), .state = BW_RUN_CANCELLED, .started_ms = 1, .steps = &ended, .step_count = 1};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1, .dropped = &dropped};
    commit(&op);
    assert_int_equal(dropped.count, 2);
    assert_int_equal(query("SELECT count(*) FROM children c JOIN runs r ON r.id = c.run_id WHERE r.state = 22"), 2);
    for (size_t i = 0; i < 2; i++) {
        char sql[96];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM children WHERE run_id = %lld", (long long)dropped.ids[i]);
        assert_int_equal(query(sql), 1);
    }
    free(dropped.ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_a_parked_run_is_woken_and_says_why),
        PARKING(test_a_run_that_is_executing_does_not_park_any_more),
        PARKING(test_nothing_is_left_of_it_when_a_run_without_waiting_steps_ends),
        PARKING(test_what_follows_the_end_may_park),
        PARKING(test_of_several_the_first_one_stays),
        PARKING(test_what_has_ended_or_was_never_there_is_left_alone),
        PARKING(test_a_report_names_the_children_that_it_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
