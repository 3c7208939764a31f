/* Workflows that are paused: what is held, what goes on, and how it is let go; over crashes at each commit. */
#include "parking_fixture.h"

static struct bw_store_op say(const char *workflow, bool resumes)
{
    return (struct bw_store_op){
        .kind = BW_OP_PAUSE,
        .now_ms = wall_ms,
        .pause = {.workflow = bw_slice_of(workflow), .reason = BW_SLICE("the CRM is down"), .actor = BW_SLICE("me"), .resumes = resumes}};
}

static struct bw_store_op pause_it(const char *workflow)
{
    struct bw_store_op op = say(workflow, false);
    commit(&op);
    return op;
}

static struct bw_store_op resume_it(const char *workflow)
{
    struct bw_store_op op = say(workflow, true);
    commit(&op);
    return op;
}

static struct bw_run_row row_of(uint32_t run, const char *workflow)
{
    return (struct bw_run_row){.uid = uid_of(run), .workflow = bw_slice_of(workflow), .state = BW_RUN_BLOCKED, .started_ms = 1};
}

static void report_of(const struct bw_run_row *row, int64_t event_id)
{
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = event_id, .runs = row, .run_count = 1};
    commit(&op);
}

/* It would begin now. */
static void begin(uint32_t run)
{
    const struct bw_run_row row = row_of(run, "deploy");
    report_of(&row, first_event);
}

static struct bw_slot_new slot_of(uint32_t most)
{
    struct bw_slot_new slot = {.most = most, .max_queue = 1000, .holds_parked = true};
    memset(slot.group, 1, sizeof slot.group);
    return slot;
}

static void begin_with_slot(uint32_t run, const char *workflow)
{
    struct bw_run_row row = row_of(run, workflow);
    row.slot = slot_of(1);
    report_of(&row, first_event);
}

static void end(uint32_t run)
{
    put(run, BW_RUN_SUCCEEDED, NULL, 0);
}

static void assert_quiet(void)
{
    assert_int_equal(count_faults(), 0);
    assert_sound();
}

static void test_what_would_begin_is_held_and_goes_on_in_the_order_of_the_events(void **state)
{
    (void)state;
    int64_t second_event = add_event(1, "", 0);
    struct bw_store_op op = pause_it("deploy");
    assert_true(op.pause.has_changed);
    assert_int_equal(op.pause.since_ms, wall_ms);
    const struct bw_run_row late = row_of(3, "deploy"), other = row_of(4, "report");
    report_of(&late, second_event); /* its worker was quicker */
    begin(1);
    begin(2);
    report_of(&other, first_event);
    for (uint32_t run = 1; run <= 3; run++) {
        assert_int_equal(state_of(run), BW_RUN_HELD);
        assert_int_equal(queue_of(run), 0);
    }
    assert_int_equal(state_of(4), BW_RUN_ACTIVE);
    assert_true(queue_of(4) > 0);
    assert_false(fire(INT64_MAX));
    assert_int_equal(state_of(1), BW_RUN_HELD);
    assert_quiet();

    assert_true(resume_it("deploy").pause.has_changed);
    assert_int_equal(state_of(1), BW_RUN_HELD); /* that is the business of transactions of their own */
    assert_int_equal(writer.parking.committed_due_ms, 1);
    assert_quiet();
    assert_false(fire(1));
    assert_true(queue_of(1) && queue_of(1) < queue_of(2) && queue_of(2) < queue_of(3));
    assert_int_equal(state_of(3), BW_RUN_ACTIVE);
    assert_int_equal(query("SELECT count(*) FROM pauses"), 0);
    assert_int_equal(writer.parking.committed_due_ms, 0);
    assert_int_equal(query("SELECT count(*) FROM audit WHERE target = 'deploy' AND actor = 'me' AND detail = 'the CRM is down'"), 2);
    assert_quiet();
}

static void test_saying_it_twice_changes_nothing(void **state)
{
    (void)state;
    assert_false(resume_it("deploy").pause.has_changed);
    pause_it("deploy");
    wall_ms += 1000;
    struct bw_store_op op = pause_it("deploy");
    assert_false(op.pause.has_changed);
    assert_int_equal(op.pause.since_ms, wall_ms - 1000);
    assert_int_equal(query("SELECT count(*) FROM audit"), 1);
    assert_true(resume_it("deploy").pause.has_changed);
    assert_false(resume_it("deploy").pause.has_changed);
}

static void test_runs_that_have_begun_go_on(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    put_step(2, BW_RUN_ACTIVE, step_row("a", BW_STEP_SUCCEEDED));
    pause_it("deploy");
    fire(6000);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
    put_step(2, BW_RUN_PARKED, sleeping("nap", 7000));
    assert_int_equal(state_of(2), BW_RUN_PARKED);
    end(1);
    assert_int_equal(state_of(1), BW_RUN_SUCCEEDED);
}

static void test_who_was_blocked_is_held_when_its_turn_comes_and_others_get_the_slot(void **state)
{
    (void)state;
    begin_with_slot(1, "deploy");
    begin_with_slot(2, "deploy");
    begin_with_slot(3, "report"); /* the same group: scope */
    pause_it("deploy");
    assert_int_equal(state_of(2), BW_RUN_BLOCKED);
    end(1);
    assert_int_equal(state_of(2), BW_RUN_HELD);
    assert_int_equal(state_of(3), BW_RUN_ACTIVE);
    assert_quiet();
    resume_it("deploy");
    fire(1);
    assert_int_equal(state_of(2), BW_RUN_BLOCKED);
    end(3);
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
    assert_quiet();
}

static void test_a_delayed_run_is_held_when_its_time_comes(void **state)
{
    (void)state;
    struct bw_run_row row = row_of(1, "deploy");
    row.start.ready_ms = bw_clock_wall_ms() + 3600000;
    report_of(&row, first_event);
    assert_int_equal(state_of(1), BW_RUN_DELAYED);
    pause_it("deploy");
    fire(row.start.ready_ms);
    assert_int_equal(state_of(1), BW_RUN_HELD);
    assert_quiet();
}

static void test_what_was_left_of_a_delay_comes_after_the_pause(void **state)
{
    (void)state;
    struct bw_run_row row = row_of(1, "deploy");
    pause_it("deploy");
    row.start.ready_ms = bw_clock_wall_ms() + 3600000;
    report_of(&row, first_event);
    assert_int_equal(state_of(1), BW_RUN_HELD);
    resume_it("deploy");
    fire(1);
    assert_int_equal(state_of(1), BW_RUN_DELAYED);
    assert_true(query("SELECT due_ms FROM timers") >= row.start.ready_ms);
    assert_quiet();
}

static void test_start_within_counts_while_it_is_held(void **state)
{
    (void)state;
    struct bw_run_row row = row_of(1, "deploy"), later = row_of(2, "deploy");
    pause_it("deploy");
    row.start.until_ms = bw_clock_wall_ms() + 3600000;
    later.start.until_ms = row.start.until_ms + 3600000;
    report_of(&row, first_event);
    report_of(&later, first_event);
    fire(row.start.until_ms);
    assert_int_equal(state_of(1), BW_RUN_SKIPPED);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE error LIKE '%run.start_within%paused%'"), 1);
    assert_int_equal(state_of(2), BW_RUN_HELD);
    resume_it("deploy");
    fire(1);
    assert_int_equal(state_of(2), BW_RUN_ACTIVE);
    assert_int_equal(query("SELECT count(*) FROM timers"), 0);
    assert_quiet();
}

static void test_the_rate_counts_those_that_are_let_go(void **state)
{
    (void)state;
    pause_it("deploy");
    for (uint32_t run = 1; run <= 3; run++) {
        struct bw_run_row row = row_of(run, "deploy");
        row.start = (struct bw_start_new){.count = 1, .burst = 1, .period_ms = 60000, .most_ms = 1 << 30};
        report_of(&row, first_event);
    }
    assert_int_equal(query("SELECT count(*) FROM rates"), 0);
    resume_it("deploy");
    fire(1);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_int_equal(state_of(2), BW_RUN_DELAYED);
    assert_int_equal(state_of(3), BW_RUN_DELAYED);
    assert_quiet();
}

static void test_a_held_run_can_be_cancelled(void **state)
{
    (void)state;
    pause_it("deploy");
    begin(1);
    struct bw_store_op op = {.kind = BW_OP_CANCEL, .now_ms = 77, .cancel = {.run = uid_of(1), .why = BW_SLICE("{}"), .actor = BW_SLICE("me")}};
    commit(&op);
    assert_true(op.cancel.has_ended);
    assert_int_equal(op.cancel.found, BW_RUN_HELD);
    assert_int_equal(state_of(1), BW_RUN_CANCELLED);
    resume_it("deploy");
    fire(1);
    assert_int_equal(state_of(1), BW_RUN_CANCELLED);
    assert_quiet();
}

/* ---- runs that steps start ---- */

static const struct bw_join_new call = {
    .workflow = BW_SLICE("charge"), .items = {"\2\0\0\0{}", 6}, .total = 1, .concurrency = 1, .depth = 1, .is_call = true};

static void start_child(const struct bw_join_new *join)
{
    struct bw_step_row step = step_row("pay", BW_STEP_WAITING);
    step.join = join;
    put_step(1, BW_RUN_PARKED, step);
}

static int64_t child_state(void)
{
    return query("SELECT coalesce((SELECT state FROM runs WHERE workflow = 'charge'), 0)");
}

static void test_a_call_of_a_paused_workflow_is_held_and_its_parent_waits(void **state)
{
    (void)state;
    pause_it("charge");
    start_child(&call);
    assert_int_equal(child_state(), BW_RUN_HELD);
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_quiet();
    resume_it("charge");
    fire(1);
    assert_int_equal(child_state(), BW_RUN_ACTIVE);
    assert_int_equal(query("SELECT count(*) FROM queue"), 1);
    assert_quiet();
}

static void test_a_held_call_asks_for_its_slot_when_it_goes_on(void **state)
{
    struct bw_join_new asking = call;
    (void)state;
    asking.slot = slot_of(1);
    begin_with_slot(2, "report"); /* the same group: scope */
    pause_it("charge");
    start_child(&asking);
    assert_int_equal(child_state(), BW_RUN_HELD);
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_quiet();
    resume_it("charge");
    fire(1);
    assert_int_equal(child_state(), BW_RUN_BLOCKED);
    end(2);
    assert_int_equal(child_state(), BW_RUN_ACTIVE);
    assert_quiet();
}

static void test_items_of_a_paused_workflow_go_on(void **state)
{
    struct bw_join_new items = call;
    (void)state;
    items.is_call = false;
    pause_it("charge");
    start_child(&items);
    assert_int_equal(child_state(), BW_RUN_ACTIVE);
}

static void test_a_held_call_ends_with_its_parent_and_tells_it_when_it_is_cancelled(void **state)
{
    (void)state;
    pause_it("charge");
    start_child(&call);
    struct bw_store_op op = {.kind = BW_OP_CANCEL,
                             .now_ms = 77,
                             .cancel = {.run = bw_uid_of_child(uid_of(1), BW_SLICE("pay"), 0), .why = BW_SLICE("{}"), .actor = BW_SLICE("me")}};
    commit(&op);
    assert_int_equal(child_state(), BW_RUN_CANCELLED);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_CHILD);
    assert_quiet();
}

static void test_the_end_of_the_parent_ends_a_held_call(void **state)
{
    (void)state;
    pause_it("charge");
    start_child(&call);
    put_step(1, BW_RUN_CANCELLED, step_row("pay", BW_STEP_CANCELLED));
    assert_int_equal(child_state(), BW_RUN_CANCELLED);
    resume_it("charge");
    fire(1);
    assert_int_equal(child_state(), BW_RUN_CANCELLED);
    assert_quiet();
}

/* ---- letting very many go ---- */

enum { MANY = 1300 };

static void test_very_many_are_let_go_in_transactions_of_at_most_so_many(void **state)
{
    (void)state;
    pause_it("deploy");
    for (uint32_t run = 1; run <= MANY; run++) begin(run);
    resume_it("deploy");
    size_t turns = 0;
    int64_t held = MANY;
    for (bool more = true; more; turns++) {
        more = fire(1);
        int64_t left = query("SELECT count(*) FROM runs WHERE state = 5");
        assert_true(held - left <= BW_WAKES_AT_ONCE && left < held);
        held = left;
        if (!turns) { /* who comes meanwhile is behind the others */
            begin(MANY + 1);
            assert_int_equal(state_of(MANY + 1), BW_RUN_HELD);
            held++;
        }
        assert_quiet();
    }
    assert_true(turns >= 3);
    assert_int_equal(held, 0);
    assert_int_equal(query("SELECT max(id) FROM queue"), queue_of(MANY + 1));
    begin(MANY + 2);
    assert_int_equal(state_of(MANY + 2), BW_RUN_ACTIVE);
}

static void test_pausing_again_keeps_those_that_have_not_gone(void **state)
{
    (void)state;
    pause_it("deploy");
    for (uint32_t run = 1; run <= 600; run++) begin(run);
    resume_it("deploy");
    assert_true(fire(1));
    int64_t left = query("SELECT count(*) FROM runs WHERE state = 5");
    assert_true(left > 0);
    pause_it("deploy");
    assert_false(fire(1));
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 5"), left);
    assert_quiet();
}

static void test_what_is_rolled_back_has_not_been_paused(void **state)
{
    struct bw_store_op op = say("deploy", false), bad = {.kind = (enum bw_store_op_kind)99}, *culprit;
    struct bw_error err = {0};
    (void)state;
    op.next = &bad;
    assert_false(bw_writer_commit(&writer, &op, &culprit, &err));
    begin(1);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    pause_it("deploy");
    struct bw_store_op again = say("deploy", true);
    again.next = &bad;
    assert_false(bw_writer_commit(&writer, &again, &culprit, &err));
    begin(2);
    assert_int_equal(state_of(2), BW_RUN_HELD);
    assert_quiet();
}

/* ---- crashes ---- */

/* Opens the folder, goes on from wherever an earlier one died, and says so by its exit status. */
static int child_main(char **argv)
{
    struct bw_error err = {0};
    memset(&writer, 0, sizeof writer);
    first_event = strtoll(argv[3], NULL, 10);
    wall_ms = 1000;
    alarm(60);
    if (!bw_writer_open(&writer, argv[2], &err)) return 3;
    if (!query("SELECT count(*) FROM audit WHERE verb = 'pause'")) pause_it("deploy");
    for (uint32_t run = 1; run <= 600; run++)
        if (!state_of(run)) begin(run);
    if (query("SELECT count(*) FROM audit WHERE verb = 'resume'") == 0) {
        if (query("SELECT count(*) FROM runs WHERE state = 5") != 600) return 5;
        resume_it("deploy");
    }
    while (writer.parking.committed_due_ms == 1) fire(1);
    bool good = query("SELECT count(*) FROM runs WHERE state = 2") == 600 && query("SELECT count(*) FROM queue") == 600 && !count_faults() &&
                !query("SELECT count(*) FROM pauses") && query("SELECT count(*) FROM audit") == 2;
    bw_writer_close(&writer, true);
    return good ? 0 : 6;
}

static void test_a_crash_at_each_commit_loses_none_and_lets_none_go_twice(void **state)
{
    static const char *const points[] = {"store.before_pause:1",   "store.after_pause:1",   "store.before_hold:1",
                                         "store.after_hold:300",   "store.before_pause:1",  "store.after_pause:1",
                                         "store.before_release:1", "store.after_release:1", "store.before_release:1"};
    (void)state;
    bw_writer_close(&writer, true);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        int status = run_child(points[i]);
        if (status == 0) fail_msg("%s was not reached", points[i]);
        if (status == 3 || status == 5 || status == 6) fail_msg("%s: %d", points[i], status);
    }
    assert_int_equal(run_child(""), 0);
    struct bw_error err = {0};
    assert_no_error(bw_writer_open(&writer, folder, &err), err);
    assert_quiet();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_what_would_begin_is_held_and_goes_on_in_the_order_of_the_events),
        PARKING(test_saying_it_twice_changes_nothing),
        PARKING(test_runs_that_have_begun_go_on),
        PARKING(test_who_was_blocked_is_held_when_its_turn_comes_and_others_get_the_slot),
        PARKING(test_a_delayed_run_is_held_when_its_time_comes),
        PARKING(test_what_was_left_of_a_delay_comes_after_the_pause),
        PARKING(test_start_within_counts_while_it_is_held),
        PARKING(test_the_rate_counts_those_that_are_let_go),
        PARKING(test_a_held_run_can_be_cancelled),
        PARKING(test_a_call_of_a_paused_workflow_is_held_and_its_parent_waits),
        PARKING(test_a_held_call_asks_for_its_slot_when_it_goes_on),
        PARKING(test_items_of_a_paused_workflow_go_on),
        PARKING(test_a_held_call_ends_with_its_parent_and_tells_it_when_it_is_cancelled),
        PARKING(test_the_end_of_the_parent_ends_a_held_call),
        PARKING(test_very_many_are_let_go_in_transactions_of_at_most_so_many),
        PARKING(test_pausing_again_keeps_those_that_have_not_gone),
        PARKING(test_what_is_rolled_back_has_not_been_paused),
        PARKING(test_a_crash_at_each_commit_loses_none_and_lets_none_go_twice),
    };
    if (argc == 4 && !strcmp(argv[1], "child")) return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
