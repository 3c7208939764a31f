/* Called workflows with `concurrency`, `rate`, `delay`, `start_within`: admission, what becomes of the caller, lent slots, circles, crashes. */
#include "nest_fixture.h"

static struct bw_uid root(uint32_t number)
{
    return uid_of(number);
}

static void start(uint32_t number)
{
    ask(root(number), (struct bw_slot_new){.most = 0});
}

static int64_t is_error(struct bw_uid uid, const char *code)
{
    char select[120];
    snprintf(select, sizeof select, "error LIKE '%%%s%%'", code);
    return of_uid(uid, select);
}

static enum bw_wake_kind wake_at(struct bw_uid uid)
{
    return (enum bw_wake_kind)of_uid(uid, "(SELECT kind FROM wakes WHERE run_id = r.id)");
}

/* ---- admission ---- */

static void ask_for_event(struct bw_uid uid, int64_t event_id, struct bw_slot_new slot)
{
    struct bw_run_row row = {.uid = uid, .workflow = BW_SLICE("deploy"), .state = BW_RUN_BLOCKED, .started_ms = 1, .slot = slot};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = event_id, .runs = &row, .run_count = 1};
    commit(&op);
}

static void test_called_runs_and_those_of_events_wait_in_one_order(void **state)
{
    (void)state;
    start(1);
    start(2);
    struct bw_uid a = call(root(1), "a", slot_of(0, 1));
    assert_state(a, BW_RUN_ACTIVE);
    ask(root(3), slot_of(0, 1));
    wall_ms += 10;
    struct bw_uid b = call(root(2), "b", slot_of(0, 1));
    wall_ms += 10;
    ask_for_event(root(4), add_event(0, "", 0), slot_of(0, 1));
    assert_state(b, BW_RUN_BLOCKED);
    assert_state(root(2), BW_RUN_PARKED);
    assert_slots();
    finish(a, BW_RUN_SUCCEEDED);
    assert_state(root(1), BW_RUN_ACTIVE);
    assert_state(root(3), BW_RUN_ACTIVE);
    assert_state(b, BW_RUN_BLOCKED);
    finish(root(3), BW_RUN_SUCCEEDED);
    assert_state(b, BW_RUN_ACTIVE);
    assert_state(root(4), BW_RUN_BLOCKED);
    finish(b, BW_RUN_FAILED);
    assert_state(root(4), BW_RUN_ACTIVE);
    assert_sound();
}

static void test_an_event_that_was_there_before_the_call_and_is_looked_at_later_stays_in_front(void **state)
{
    (void)state;
    int64_t late = add_event(0, "", 0);
    start(1);
    ask(root(2), slot_of(0, 1));
    struct bw_uid called = call(root(1), "a", slot_of(0, 1));
    int64_t later = add_event(0, "", 0);
    wall_ms += 10;
    ask_for_event(root(3), later, slot_of(0, 1));
    wall_ms += 10;
    ask_for_event(root(4), late, slot_of(0, 1));
    finish(root(2), BW_RUN_SUCCEEDED);
    assert_state(root(4), BW_RUN_ACTIVE);
    finish(root(4), BW_RUN_SUCCEEDED);
    assert_state(called, BW_RUN_ACTIVE);
    finish(called, BW_RUN_SUCCEEDED);
    assert_state(root(3), BW_RUN_ACTIVE);
}

/* What is not begun wakes who waits for it, in the transaction in which that wanted to park. */
static void test_a_call_that_is_left_out_is_an_end_of_its_own(void **state)
{
    struct bw_slot_new skips = slot_of(0, 1), no_queue = slot_of(0, 1);
    (void)state;
    skips.when_full = BW_FULL_SKIP;
    no_queue.max_queue = 0;
    ask(root(9), slot_of(0, 1));
    for (uint32_t i = 0; i < 2; i++) {
        start(1 + i);
        struct bw_uid called = call(root(1 + i), "a", i ? no_queue : skips);
        assert_state(called, BW_RUN_SKIPPED);
        assert_true(is_error(called, i ? "concurrency.queue_full" : "concurrency.full"));
        assert_state(root(1 + i), BW_RUN_ACTIVE);
        assert_int_equal(of_uid(root(1 + i), "(SELECT count(*) FROM queue WHERE run_id = r.id)"), 1);
        assert_int_equal(wake_at(root(1 + i)), BW_WAKE_CHILD);
        assert_int_equal(of_uid(root(1 + i), "(SELECT succeeded FROM joins WHERE run_id = r.id)"), 1);
    }
    assert_slots();
    assert_sound();
}

static void test_a_run_that_waits_is_replaced_and_its_caller_hears_of_it(void **state)
{
    struct bw_slot_new replaces = slot_of(0, 1);
    (void)state;
    replaces.when_full = BW_FULL_REPLACE;
    ask(root(9), slot_of(0, 1));
    start(1);
    start(2);
    struct bw_uid first = call(root(1), "a", slot_of(0, 1)), second = call(root(2), "a", replaces);
    assert_state(first, BW_RUN_CANCELLED);
    assert_true(is_error(first, "concurrency.replaced"));
    assert_state(root(1), BW_RUN_ACTIVE);
    assert_int_equal(of_uid(root(1), "(SELECT failed FROM joins WHERE run_id = r.id)"), 1);
    assert_state(second, BW_RUN_BLOCKED);
    assert_sound();
}

static void test_a_called_run_is_cancelled_by_one_that_takes_its_place(void **state)
{
    struct bw_slot_new cancels = slot_of(0, 1);
    (void)state;
    cancels.when_full = BW_FULL_CANCEL_RUNNING;
    start(1);
    struct bw_uid called = call(root(1), "a", slot_of(0, 1));
    ask(root(2), cancels);
    assert_true(of_uid(called, "cancel IS NOT NULL"));
    finish(called, BW_RUN_CANCELLED);
    assert_state(root(2), BW_RUN_ACTIVE);
    assert_state(root(1), BW_RUN_ACTIVE);
    assert_int_equal(of_uid(root(1), "(SELECT failed FROM joins WHERE run_id = r.id)"), 1);
}

static struct bw_join_new call_after(int64_t ready_ms, int64_t until_ms)
{
    struct bw_join_new join = one_call;
    join.start = (struct bw_start_new){.ready_ms = ready_ms, .until_ms = until_ms};
    return join;
}

static void test_a_delayed_call_begins_when_its_time_has_come_and_goes_with_its_caller(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 2; i++) start(i);
    struct bw_uid first = call_with(root(1), "a", BW_RUN_PARKED, call_after(wall_ms + 500, 0)),
                  second = call_with(root(2), "a", BW_RUN_PARKED, call_after(wall_ms + 500, 0));
    assert_state(first, BW_RUN_DELAYED);
    assert_state(root(1), BW_RUN_PARKED);
    reopen_writer(&defaults);
    finish(root(2), BW_RUN_CANCELLED);
    assert_state(second, BW_RUN_CANCELLED);
    fire(wall_ms + 499);
    assert_state(first, BW_RUN_DELAYED);
    wall_ms += 500;
    fire(wall_ms);
    assert_state(first, BW_RUN_ACTIVE);
    finish(first, BW_RUN_SUCCEEDED);
    assert_state(root(1), BW_RUN_ACTIVE);
    assert_int_equal(query("SELECT count(*) FROM timers"), 0);
    assert_sound();
}

static void test_a_call_that_has_not_begun_in_time_is_skipped(void **state)
{
    struct bw_join_new join = call_after(0, wall_ms + 500);
    (void)state;
    join.slot = slot_of(0, 1);
    ask(root(9), slot_of(0, 1));
    start(1);
    struct bw_uid called = call_with(root(1), "a", BW_RUN_PARKED, join);
    assert_state(called, BW_RUN_BLOCKED);
    wall_ms += 500;
    fire(wall_ms);
    assert_state(called, BW_RUN_SKIPPED);
    assert_state(root(1), BW_RUN_ACTIVE);
    assert_int_equal(wake_at(root(1)), BW_WAKE_CHILD);
    assert_int_equal(query("SELECT count(*) FROM slots"), 1);
    assert_sound();
}

static void test_calls_take_their_turn_under_a_rate(void **state)
{
    struct bw_join_new join = one_call;
    struct bw_uid called[3];
    (void)state;
    join.start = (struct bw_start_new){.group = {7}, .count = 1, .period_ms = 1000, .burst = 1, .most_ms = 100000};
    for (uint32_t i = 0; i < 3; i++) {
        start(1 + i);
        called[i] = call_with(root(1 + i), "a", BW_RUN_PARKED, join);
    }
    join.start.skips = true;
    start(4);
    struct bw_uid skipped = call_with(root(4), "a", BW_RUN_PARKED, join);
    assert_state(skipped, BW_RUN_SKIPPED);
    assert_state(root(4), BW_RUN_ACTIVE);
    assert_state(called[0], BW_RUN_ACTIVE);
    assert_state(called[2], BW_RUN_DELAYED);
    finish(root(2), BW_RUN_FAILED); /* its caller is gone: the next one takes its turn */
    assert_state(called[1], BW_RUN_CANCELLED);
    wall_ms += 1000;
    fire(wall_ms);
    assert_state(called[2], BW_RUN_ACTIVE);
    join.start.skips = false;
    join.start.most_ms = 1;
    start(5);
    struct bw_uid too_late = call_with(root(5), "a", BW_RUN_PARKED, join);
    assert_state(too_late, BW_RUN_FAILED);
    assert_int_equal(of_uid(root(5), "(SELECT failed FROM joins WHERE run_id = r.id)"), 1);
    assert_sound();
}

static void test_who_ends_takes_its_blocked_calls_along_and_detached_ones_stay(void **state)
{
    struct bw_join_new detached = one_call;
    (void)state;
    detached.slot = slot_of(0, 1);
    detached.is_detached = true;
    ask(root(9), slot_of(0, 1));
    start(1);
    struct bw_uid apart = call_with(root(1), "d", BW_RUN_ACTIVE, detached), blocked = call(root(1), "a", slot_of(0, 1));
    assert_state(blocked, BW_RUN_BLOCKED);
    assert_state(apart, BW_RUN_BLOCKED);
    finish(root(1), BW_RUN_FAILED);
    assert_state(blocked, BW_RUN_CANCELLED);
    assert_state(apart, BW_RUN_BLOCKED);
    finish(root(9), BW_RUN_SUCCEEDED);
    assert_state(apart, BW_RUN_ACTIVE);
    finish(apart, BW_RUN_SUCCEEDED);
    assert_int_equal(query("SELECT count(*) FROM slots"), 0);
    assert_sound();
}

static void test_a_call_said_twice_asks_once(void **state)
{
    (void)state;
    ask(root(9), slot_of(0, 1));
    start(1);
    struct bw_uid called = call(root(1), "a", slot_of(0, 1));
    call(root(1), "a", slot_of(0, 1));
    assert_int_equal(query("SELECT count(*) FROM slots"), 2);
    assert_state(called, BW_RUN_BLOCKED);
    finish(root(9), BW_RUN_SUCCEEDED);
    assert_state(called, BW_RUN_ACTIVE);
    call(root(1), "a", slot_of(0, 1));
    assert_int_equal(query("SELECT count(*) FROM queue WHERE run_id IN (SELECT run_id FROM children)"), 1);
    assert_sound();
}

static void test_a_call_that_is_cancelled_before_it_began_wakes_its_caller(void **state)
{
    (void)state;
    ask(root(9), slot_of(0, 1));
    start(1);
    struct bw_uid called = call(root(1), "a", slot_of(0, 1));
    struct bw_store_op op = {
        .kind = BW_OP_CANCEL, .now_ms = wall_ms, .cancel = {.run = called, .why = BW_SLICE("{\"by\":\"ann\"}"), .actor = BW_SLICE("ann")}};
    commit(&op);
    assert_true(op.cancel.has_ended);
    assert_state(called, BW_RUN_CANCELLED);
    assert_state(root(1), BW_RUN_ACTIVE);
    assert_sound();
}

/* ---- lent slots ---- */

static void test_a_call_into_the_group_of_a_run_above_is_on_its_slot(void **state)
{
    (void)state;
    ask(root(1), slot_of(0, 1));
    ask(root(2), slot_of(0, 1));
    struct bw_uid between = call(root(1), "m", (struct bw_slot_new){.most = 0}), below = call(between, "a", slot_of(0, 1)),
                  lowest = call(below, "b", slot_of(0, 1));
    assert_state(below, BW_RUN_PARKED);
    assert_state(lowest, BW_RUN_ACTIVE);
    assert_state(root(2), BW_RUN_BLOCKED);
    assert_slots();
    reopen_writer(&defaults);
    finish(lowest, BW_RUN_SUCCEEDED);
    finish(below, BW_RUN_SUCCEEDED);
    assert_state(root(2), BW_RUN_BLOCKED);
    finish(between, BW_RUN_SUCCEEDED);
    finish(root(1), BW_RUN_SUCCEEDED);
    assert_state(root(2), BW_RUN_ACTIVE);
    assert_slots();
    assert_sound();
}

static void test_a_slot_is_lent_to_one_at_a_time_in_their_order(void **state)
{
    struct bw_uid called[3];
    (void)state;
    ask(root(1), slot_of(0, 2));
    ask(root(2), slot_of(0, 2));
    fan(root(1), "fan", 3);
    for (uint32_t i = 0; i < 3; i++) {
        wall_ms += 10;
        called[i] = call(bw_uid_of_child(root(1), BW_SLICE("fan"), 2 - i), "a", slot_of(0, 2));
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_state(called[i], BW_RUN_ACTIVE);
        if (i < 2) assert_state(called[i + 1], BW_RUN_BLOCKED);
        assert_slots();
        finish(called[i], BW_RUN_SUCCEEDED);
    }
    assert_int_equal(query("SELECT count(*) FROM slots"), 2);
    assert_sound();
}

static void test_the_end_of_who_lends_ends_all_that_is_on_its_slot(void **state)
{
    (void)state;
    ask(root(1), slot_of(0, 1));
    ask(root(2), slot_of(0, 1));
    fan(root(1), "fan", 2);
    struct bw_uid on = call(bw_uid_of_child(root(1), BW_SLICE("fan"), 0), "a", slot_of(0, 1)),
                  behind = call(bw_uid_of_child(root(1), BW_SLICE("fan"), 1), "a", slot_of(0, 1));
    finish(root(1), BW_RUN_CANCELLED);
    assert_state(on, BW_RUN_CANCELLED);
    assert_state(behind, BW_RUN_CANCELLED);
    assert_state(root(2), BW_RUN_ACTIVE);
    assert_int_equal(query("SELECT count(*) FROM slots"), 1);
    assert_slots();
    assert_sound();
}

static void test_what_is_detached_asks_for_a_slot_of_its_own(void **state)
{
    struct bw_join_new detached = one_call;
    (void)state;
    detached.slot = slot_of(0, 1);
    detached.is_detached = true;
    ask(root(1), slot_of(0, 1));
    struct bw_uid apart = call_with(root(1), "d", BW_RUN_ACTIVE, detached);
    assert_state(apart, BW_RUN_BLOCKED);
    finish(root(1), BW_RUN_SUCCEEDED);
    assert_state(apart, BW_RUN_ACTIVE);
    struct bw_uid below = call(apart, "a", slot_of(0, 1)); /* of who was detached, it may have it */
    assert_state(below, BW_RUN_ACTIVE);
    assert_slots();
}

static void test_who_gives_its_slot_up_while_parked_has_none_to_lend(void **state)
{
    struct bw_slot_new slot = slot_of(0, 1), hasty = slot_of(0, 1);
    struct bw_join_new join = one_call;
    (void)state;
    slot.holds_parked = false;
    ask(root(1), slot);
    ask(root(2), slot_of(0, 1));
    struct bw_uid below = call(root(1), "a", slot);
    assert_state(root(2), BW_RUN_ACTIVE); /* it was there first */
    assert_state(below, BW_RUN_BLOCKED);
    finish(root(2), BW_RUN_SUCCEEDED);
    assert_state(below, BW_RUN_ACTIVE);
    finish(below, BW_RUN_SUCCEEDED);
    assert_state(root(1), BW_RUN_ACTIVE);
    struct bw_step_row first = step_row("a", BW_STEP_SUCCEEDED);
    report_step(root(1), BW_RUN_ACTIVE, &first);
    /* At work beside: what it calls waits until it has parked, whatever is to be done with full groups. */
    for (enum bw_when_full when_full = BW_FULL_SKIP; when_full <= BW_FULL_CANCEL_RUNNING; when_full++) {
        static const char *const paths[] = {[BW_FULL_SKIP] = "s", [BW_FULL_REPLACE] = "r", [BW_FULL_CANCEL_RUNNING] = "c"};
        hasty.when_full = when_full;
        hasty.max_queue = 0;
        join.slot = hasty;
        below = call_with(root(1), paths[when_full], BW_RUN_ACTIVE, join);
        assert_state(below, BW_RUN_BLOCKED);
        assert_false(of_uid(root(1), "cancel IS NOT NULL"));
        struct bw_step_row nap = sleeping("nap", wall_ms + 100000);
        report_step(root(1), BW_RUN_PARKED, &nap);
        assert_state(below, BW_RUN_ACTIVE);
        finish(below, BW_RUN_SUCCEEDED);
        assert_state(root(1), BW_RUN_ACTIVE);
        struct bw_step_row done = step_row(paths[when_full], BW_STEP_SUCCEEDED);
        report_step(root(1), BW_RUN_ACTIVE, &done);
    }
    assert_slots();
}

/* ---- on_failed: hold, and runs that are run once more ---- */

static struct bw_slot_new strict(void)
{
    struct bw_slot_new slot = slot_of(0, 1);
    slot.holds_failed = true;
    return slot;
}

/* A caller that fails over what it has called, which keeps its slot. */
static struct bw_uid fail_strictly(void)
{
    struct bw_step_row failed = step_row("a", BW_STEP_FAILED);
    start(1);
    ask(root(2), strict());
    struct bw_uid called = call(root(1), "a", strict());
    finish(root(2), BW_RUN_SUCCEEDED);
    ask(root(3), strict());
    finish(called, BW_RUN_FAILED);
    report_step(root(1), BW_RUN_FAILED, &failed);
    assert_state(root(3), BW_RUN_BLOCKED);
    assert_slots();
    return called;
}

static void reopen(struct bw_slot_new slot)
{
    struct bw_join_new join = one_call;
    join.slot = slot;
    join.is_reopened = true;
    join.items = (struct bw_slice)BW_SLICE("\2\0\0\0{}");
    call_with(root(1), "a", BW_RUN_PARKED, join);
}

static void test_a_call_that_failed_keeps_its_slot_until_its_caller_was_resumed(void **state)
{
    (void)state;
    struct bw_uid called = fail_strictly();
    reopen_writer(&defaults);
    assert_string_equal(do_letter(BW_LETTER_RESUME, root(1)), "");
    reopen(strict());
    assert_state(called, BW_RUN_ACTIVE); /* it has its slot */
    assert_state(root(3), BW_RUN_BLOCKED);
    assert_int_equal(query("SELECT count(*) FROM queue WHERE run_id IN (SELECT run_id FROM children)"), 1);
    finish(called, BW_RUN_SUCCEEDED);
    assert_state(root(3), BW_RUN_ACTIVE);
    assert_slots();
    assert_sound();
}

static void test_a_slot_that_a_call_keeps_is_free_when_its_caller_is_replayed_or_discarded(void **state)
{
    (void)state;
    fail_strictly();
    assert_string_equal(do_letter(BW_LETTER_DISCARD, root(1)), "");
    assert_state(root(3), BW_RUN_ACTIVE);
    assert_slots();
    if (teardown(state) || parking_setup(state)) fail();
    fail_strictly();
    assert_string_equal(do_letter(BW_LETTER_REPLAY, root(1)), "");
    assert_state(root(3), BW_RUN_ACTIVE);
    assert_slots();
    if (teardown(state) || parking_setup(state)) fail();
    struct bw_uid called = fail_strictly();
    assert_string_equal(do_letter(BW_LETTER_DISCARD, called), "");
    assert_state(root(3), BW_RUN_ACTIVE);
    assert_sound();
}

static void test_on_a_lent_slot_nothing_is_kept(void **state)
{
    (void)state;
    ask(root(1), strict());
    struct bw_uid first = call(root(1), "a", strict());
    finish(first, BW_RUN_FAILED);
    struct bw_step_row failed = step_row("a", BW_STEP_FAILED);
    report_step(root(1), BW_RUN_ACTIVE, &failed);
    struct bw_uid second = call(root(1), "b", strict());
    assert_state(second, BW_RUN_ACTIVE);
    assert_slots();
}

static void test_what_is_run_once_more_waits_however_full_the_group_is(void **state)
{
    struct bw_slot_new skips = slot_of(0, 1);
    struct bw_step_row failed = step_row("a", BW_STEP_FAILED);
    (void)state;
    skips.when_full = BW_FULL_SKIP;
    start(1);
    struct bw_uid called = call(root(1), "a", skips);
    finish(called, BW_RUN_FAILED);
    report_step(root(1), BW_RUN_FAILED, &failed);
    ask(root(2), slot_of(0, 1));
    assert_string_equal(do_letter(BW_LETTER_RESUME, root(1)), "");
    reopen(skips);
    assert_state(called, BW_RUN_BLOCKED);
    assert_state(root(1), BW_RUN_PARKED);
    finish(root(2), BW_RUN_SUCCEEDED);
    assert_state(called, BW_RUN_ACTIVE);
    assert_slots();
    assert_sound();
}

/* ---- circles ---- */

/* One has the first group and calls into the second one, the other way round. */
static void test_of_two_that_would_wait_for_each_other_the_second_one_fails(void **state)
{
    (void)state;
    ask(root(1), slot_of(0, 1));
    ask(root(2), slot_of(1, 1));
    struct bw_uid one = call(root(1), "a", slot_of(1, 1));
    assert_state(one, BW_RUN_BLOCKED);
    struct bw_uid other = call(root(2), "a", slot_of(0, 1));
    assert_state(other, BW_RUN_FAILED);
    assert_true(is_error(other, "concurrency.deadlock"));
    assert_state(root(2), BW_RUN_ACTIVE);
    assert_int_equal(wake_at(root(2)), BW_WAKE_CHILD);
    assert_state(one, BW_RUN_BLOCKED);
    finish(root(2), BW_RUN_FAILED);
    assert_state(one, BW_RUN_ACTIVE);
    assert_slots();
    assert_sound();
}

static void test_as_long_as_one_slot_of_several_will_be_free_it_is_no_circle(void **state)
{
    (void)state;
    ask(root(1), slot_of(0, 2));
    ask(root(2), slot_of(1, 1));
    ask(root(3), slot_of(0, 2)); /* goes on by itself */
    struct bw_uid one = call(root(1), "a", slot_of(1, 1)), other = call(root(2), "a", slot_of(0, 2));
    assert_state(one, BW_RUN_BLOCKED);
    assert_state(other, BW_RUN_BLOCKED);
    struct bw_uid third = call(root(3), "a", slot_of(1, 1)); /* not any more */
    assert_state(third, BW_RUN_FAILED);
    assert_state(one, BW_RUN_BLOCKED);
    assert_state(other, BW_RUN_BLOCKED);
    finish(root(3), BW_RUN_SUCCEEDED);
    assert_state(other, BW_RUN_ACTIVE);
    finish(other, BW_RUN_SUCCEEDED);
    finish(root(2), BW_RUN_SUCCEEDED);
    assert_state(one, BW_RUN_ACTIVE);
    assert_slots();
}

static void test_a_slot_that_is_given_up_while_parked_is_in_no_circle(void **state)
{
    struct bw_slot_new loose = slot_of(1, 1);
    (void)state;
    loose.holds_parked = false;
    ask(root(1), slot_of(0, 1));
    ask(root(2), loose);
    struct bw_join_new join = one_call;
    join.slot = slot_of(0, 1);
    struct bw_uid other = call_with(root(2), "a", BW_RUN_ACTIVE, join); /* it still has its slot */
    struct bw_uid one = call(root(1), "a", slot_of(1, 1));
    assert_state(one, BW_RUN_BLOCKED);
    assert_state(other, BW_RUN_BLOCKED);
    struct bw_step_row nap = sleeping("nap", wall_ms + 100000);
    report_step(root(2), BW_RUN_PARKED, &nap);
    assert_state(one, BW_RUN_ACTIVE);
    assert_slots();
}

static void test_a_circle_goes_through_lent_slots_and_items(void **state)
{
    (void)state;
    ask(root(1), slot_of(0, 1));
    fan(root(1), "fan", 2);
    ask(root(2), slot_of(1, 1));
    struct bw_uid on = call(bw_uid_of_child(root(1), BW_SLICE("fan"), 0), "a", slot_of(0, 1)),
                  behind = call(bw_uid_of_child(root(1), BW_SLICE("fan"), 1), "a", slot_of(0, 1)), one = call(on, "b", slot_of(1, 1));
    assert_state(behind, BW_RUN_BLOCKED);
    assert_state(one, BW_RUN_BLOCKED);
    struct bw_uid other = call(root(2), "a", slot_of(0, 1));
    assert_state(other, BW_RUN_FAILED);
    assert_slots();
}

/* Who had begun, gave its slot up and wants it again closes the circle: one that has not begun is failed in its place. */
static void test_one_that_has_begun_is_not_the_one_that_fails(void **state)
{
    struct bw_slot_new loose = slot_of(1, 1);
    (void)state;
    loose.holds_parked = false;
    ask(root(1), slot_of(0, 1));
    struct bw_uid begun = call(root(1), "a", loose);
    struct bw_step_row nap = sleeping("nap", wall_ms + 100);
    report_step(begun, BW_RUN_PARKED, &nap);
    ask(root(2), slot_of(1, 1));
    struct bw_uid other = call(root(2), "a", slot_of(0, 1));
    assert_state(other, BW_RUN_BLOCKED);
    wall_ms += 100;
    fire(wall_ms);
    assert_state(begun, BW_RUN_BLOCKED);
    assert_state(other, BW_RUN_FAILED);
    assert_state(root(2), BW_RUN_ACTIVE);
    finish(root(2), BW_RUN_SUCCEEDED);
    assert_state(begun, BW_RUN_ACTIVE);
    assert_slots();
    assert_sound();
}

/* ---- crashes ---- */

static void whole_life(void)
{
    struct bw_slot_new skips = slot_of(0, 1);
    skips.when_full = BW_FULL_SKIP;
    ask(root(1), slot_of(0, 1));
    start(2);
    start(3);
    call(root(2), "a", slot_of(0, 1));
    call(root(3), "a", skips);
    finish(call(root(1), "a", slot_of(0, 1)), BW_RUN_SUCCEEDED);
    finish(root(1), BW_RUN_SUCCEEDED);
    finish(bw_uid_of_child(root(2), BW_SLICE("a"), 0), BW_RUN_SUCCEEDED);
}

static int child_main(char **argv)
{
    struct bw_error err = {0};
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    writer = (struct bw_writer){.reserve = -1};
    first_event = atoll(argv[3]);
    if (!bw_writer_open(&writer, argv[2], &err)) return 3;
    whole_life();
    bw_writer_close(&writer, true);
    return 0;
}

static void test_a_crash_around_each_commit_is_before_it_or_after_it(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const char *const points[] = {"store.before_children", "store.after_children", "store.before_admission", "store.after_admission",
                                         "store.before_join",     "store.after_join",     "store.before_park",      "store.after_park"};
    int died = 0;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (int hit = 1;; hit++) {
            char point[64];
            if ((i || hit > 1) && (teardown(state) || parking_setup(state))) fail();
            snprintf(point, sizeof point, "%s:%d", points[i], hit);
            bw_writer_close(&writer, true);
            int status = run_child(point);
            open_writer(&defaults);
            assert_sound();
            assert_slots();
            whole_life(); /* what was not heard of is said again */
            for (uint32_t run = 2; run <= 3; run++) {
                assert_state(root(run), BW_RUN_ACTIVE);
                assert_int_equal(wake_at(root(run)), BW_WAKE_CHILD);
            }
            assert_state(root(1), BW_RUN_SUCCEEDED);
            assert_int_equal(query("SELECT count(*) FROM children"), 3);
            assert_int_equal(query("SELECT count(*) FROM slots"), 0);
            assert_sound();
            assert_slots();
            if (!status) break;
            assert_int_equal(status, 137);
            died++;
        }
    assert_true(died >= 20);
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_called_runs_and_those_of_events_wait_in_one_order),
        PARKING(test_an_event_that_was_there_before_the_call_and_is_looked_at_later_stays_in_front),
        PARKING(test_a_call_that_is_left_out_is_an_end_of_its_own),
        PARKING(test_a_run_that_waits_is_replaced_and_its_caller_hears_of_it),
        PARKING(test_a_called_run_is_cancelled_by_one_that_takes_its_place),
        PARKING(test_a_delayed_call_begins_when_its_time_has_come_and_goes_with_its_caller),
        PARKING(test_a_call_that_has_not_begun_in_time_is_skipped),
        PARKING(test_calls_take_their_turn_under_a_rate),
        PARKING(test_who_ends_takes_its_blocked_calls_along_and_detached_ones_stay),
        PARKING(test_a_call_said_twice_asks_once),
        PARKING(test_a_call_that_is_cancelled_before_it_began_wakes_its_caller),
        PARKING(test_a_call_into_the_group_of_a_run_above_is_on_its_slot),
        PARKING(test_a_slot_is_lent_to_one_at_a_time_in_their_order),
        PARKING(test_the_end_of_who_lends_ends_all_that_is_on_its_slot),
        PARKING(test_what_is_detached_asks_for_a_slot_of_its_own),
        PARKING(test_who_gives_its_slot_up_while_parked_has_none_to_lend),
        PARKING(test_a_call_that_failed_keeps_its_slot_until_its_caller_was_resumed),
        PARKING(test_a_slot_that_a_call_keeps_is_free_when_its_caller_is_replayed_or_discarded),
        PARKING(test_on_a_lent_slot_nothing_is_kept),
        PARKING(test_what_is_run_once_more_waits_however_full_the_group_is),
        PARKING(test_of_two_that_would_wait_for_each_other_the_second_one_fails),
        PARKING(test_as_long_as_one_slot_of_several_will_be_free_it_is_no_circle),
        PARKING(test_a_slot_that_is_given_up_while_parked_is_in_no_circle),
        PARKING(test_a_circle_goes_through_lent_slots_and_items),
        PARKING(test_one_that_has_begun_is_not_the_one_that_fails),
        PARKING(test_a_crash_around_each_commit_is_before_it_or_after_it),
    };
    if (argc == 4 && strcmp(argv[1], "child") == 0) return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
