/* Who wakes whom: events, timers, and events that very many wait for. */
#include "parking_fixture.h"

enum { MANY = 1300 };
static const uint64_t KEY = 0xfedcba9876543210u, OTHER = 7;

static void go_on(void)
{
    struct bw_error err = {0};
    int again_ms;
    while (writer.parking.has_wakings) assert_no_error(bw_writer_idle(&writer, &again_ms, &err), err);
}

static void test_an_event_wakes_who_waits_for_one_of_its_keys(void **state)
{
    const struct bw_wait_arm arms[] = {{OTHER, first_event}, {KEY, first_event}}, unlike = {99, first_event};
    const uint64_t keys[] = {1, KEY, KEY};
    (void)state;
    put_step(1, BW_RUN_PARKED, waiting("any", arms, 2, 5000));
    put_step(2, BW_RUN_PARKED, waiting("wait", &unlike, 1, 6000));
    wall_ms += 3;
    int64_t event = accept_keys(keys, 3);
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_true(queue_of(1) > 0);
    assert_rows(1, 0, 0, 1); /* its other arm and its timer are gone */
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_EVENT);
    assert_int_equal(wake_of(1, "arm"), 1);
    assert_int_equal(wake_of(1, "event_id"), event);
    assert_int_equal(wake_of(1, "at_ms"), START_MS + 3);
    assert_int_equal(state_of(2), BW_RUN_PARKED);
    assert_rows(2, 1, 1, 0);
    assert_int_equal(writer.parking.committed_due_ms, 6000);
}

static void test_an_event_wakes_all_who_wait_and_wakes_each_once(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    const struct bw_step_row both[] = {waiting("a", &arm, 1, 0), waiting("b", &arm, 1, 0)};
    (void)state;
    put(1, BW_RUN_PARKED, both, 2);
    put(2, BW_RUN_PARKED, both, 1);
    int64_t event = accept_key(KEY);
    assert_rows(1, 0, 0, 2);
    assert_rows(2, 0, 0, 1);
    int64_t place = queue_of(1);
    accept_key(KEY); /* the first one has won */
    assert_int_equal(queue_of(1), place);
    assert_int_equal(wake_of(2, "event_id"), event);
}

static void test_a_duplicate_event_wakes_nobody(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    const uint64_t key = KEY;
    (void)state;
    add_event(0, "same", DAY_MS);
    put_step(1, BW_RUN_PARKED, waiting("wait", &arm, 1, 0));
    struct bw_store_op op = accept_op(next_number++, "same");
    op.event.at_ms = wall_ms;
    op.event.keys = &key;
    op.event.key_count = 1;
    commit(&op);
    assert_true(op.is_duplicate);
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_int_equal(query("SELECT count(*) FROM event_keys"), 0);
}

static void test_too_many_keys_are_refused(void **state)
{
    uint64_t keys[BW_EVENT_KEYS_MAX + 1];
    struct bw_store_op op = accept_op(next_number++, ""), *culprit;
    struct bw_error err = {0};
    (void)state;
    for (size_t i = 0; i <= BW_EVENT_KEYS_MAX; i++) keys[i] = i;
    op.event.keys = keys;
    op.event.key_count = BW_EVENT_KEYS_MAX + 1;
    assert_false(bw_writer_commit(&writer, &op, &culprit, &err));
    assert_string_equal(err.code, "store.too_many_keys");
    assert_ptr_equal(culprit, &op);
    accept_keys(keys, BW_EVENT_KEYS_MAX);
    assert_int_equal(query("SELECT count(*) FROM event_keys"), BW_EVENT_KEYS_MAX);
}

static void test_a_timer_fires_when_it_is_due_and_never_before(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    assert_false(fire(4999));
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_false(fire(5000));
    assert_int_equal(state_of(1), BW_RUN_ACTIVE);
    assert_rows(1, 0, 0, 1);
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_TIMER);
    assert_int_equal(wake_of(1, "at_ms"), 5000);
    assert_int_equal(of_run("count(*) FROM wakes WHERE", 1, "AND event_id IS NULL"), 1);
}

static void test_a_timeout_ends_the_waiting_for_events(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    (void)state;
    put_step(1, BW_RUN_PARKED, waiting("wait", &arm, 1, 5000));
    fire(6000);
    assert_rows(1, 0, 0, 1);
    accept_key(KEY); /* too late */
    assert_int_equal(wake_of(1, "kind"), BW_WAKE_TIMER);
}

static void test_timers_fire_oldest_first_a_bounded_number_at_once(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) put_step(i, BW_RUN_PARKED, sleeping("nap", 5000 - i));
    for (uint32_t fired = BW_WAKES_AT_ONCE; fired < MANY; fired += BW_WAKES_AT_ONCE) {
        assert_true(fire(5000));
        assert_int_equal(query("SELECT count(*) FROM queue"), fired);
        assert_int_equal(query("SELECT min(due_ms) FROM timers"), 5000 - MANY + 1 + fired);
        assert_int_equal(writer.parking.committed_due_ms, query("SELECT min(due_ms) FROM timers"));
    }
    assert_false(fire(5000));
    assert_int_equal(query("SELECT count(*) FROM queue"), MANY);
    assert_int_equal(queue_of(MANY - 1), 1); /* the oldest was the first */
}

static void test_the_earliest_timer_is_known_without_asking(void **state)
{
    struct bw_step_row idle = step_row("idle", BW_STEP_WAITING);
    (void)state;
    assert_int_equal(writer.parking.committed_due_ms, 0);
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    put_step(2, BW_RUN_PARKED, sleeping("nap", 4000));
    assert_int_equal(writer.parking.committed_due_ms, 4000);
    assert_string_equal(try_put(3, BW_RUN_PARKED, &idle, 1), "store.no_wake");
    assert_int_equal(writer.parking.committed_due_ms, 4000);
    put(2, BW_RUN_CANCELLED, NULL, 0);
    assert_int_equal(writer.parking.committed_due_ms, 5000);
    reopen_writer(&defaults);
    assert_int_equal(writer.parking.committed_due_ms, 5000);
    fire(5000);
    assert_int_equal(writer.parking.committed_due_ms, 0);
}

static void park_many(void)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    for (uint32_t i = 0; i < MANY; i++) put_step(i, BW_RUN_PARKED, waiting("wait", &arm, 1, 5000));
}

static void test_an_event_that_very_many_wait_for_holds_no_commit_for_long(void **state)
{
    (void)state;
    park_many();
    accept_key(KEY);
    assert_int_equal(query("SELECT count(*) FROM queue"), BW_WAKES_AT_ONCE);
    accept_key(OTHER); /* others get in between */
    go_on();
    assert_int_equal(query("SELECT count(*) FROM queue"), MANY);
    assert_int_equal(query("SELECT count(*) FROM waits") + query("SELECT count(*) FROM timers") + query("SELECT count(*) FROM wakings"), 0);
}

static void test_a_group_wakes_a_bounded_number_whatever_it_holds(void **state)
{
    const struct bw_wait_arm arms[] = {{1, first_event}, {2, first_event}};
    const uint64_t keys[] = {1, 2};
    struct bw_store_op first = accept_op(next_number++, ""), second = accept_op(next_number++, ""), timers = {.kind = BW_OP_WAKE, .now_ms = 9000};
    (void)state;
    for (uint32_t i = 0; i < 400; i++) put_step(i, BW_RUN_PARKED, waiting("wait", &arms[i % 2], 1, 0));
    for (uint32_t i = 400; i < 800; i++) put_step(i, BW_RUN_PARKED, sleeping("nap", 9000));
    first.event.keys = &keys[0], second.event.keys = &keys[1];
    first.event.key_count = second.event.key_count = 1;
    first.next = &timers, timers.next = &second;
    commit(&first);
    assert_int_equal(query("SELECT count(*) FROM queue"), BW_WAKES_AT_ONCE);
    assert_true(timers.more);
    go_on();
    assert_false(fire(9000));
    assert_int_equal(query("SELECT count(*) FROM queue"), 800);
}

static void test_the_rest_is_woken_after_a_restart(void **state)
{
    (void)state;
    park_many();
    accept_key(KEY);
    reopen_writer(&defaults);
    go_on();
    assert_int_equal(query("SELECT count(*) FROM queue"), MANY);
}

static int refuse_commit(void *arg)
{
    (void)arg;
    return 1;
}

static void test_a_failed_commit_of_the_rest_forgets_nobody(void **state)
{
    struct bw_error err = {0};
    int again_ms;
    (void)state;
    park_many();
    accept_key(KEY);
    sqlite3_commit_hook(writer.db, refuse_commit, NULL);
    assert_no_error(bw_writer_idle(&writer, &again_ms, &err), err); /* it can wait */
    assert_true(again_ms > 0);
    sqlite3_commit_hook(writer.db, NULL, NULL);
    assert_int_equal(query("SELECT count(*) FROM queue"), BW_WAKES_AT_ONCE);
    go_on();
    assert_int_equal(query("SELECT count(*) FROM queue"), MANY);
}

static void test_a_slow_disk_makes_the_portions_smaller(void **state)
{
    (void)state;
    park_many();
    mono_step_us = 1000; /* each look at the clock takes so long */
    accept_key(KEY);
    int64_t woken = query("SELECT count(*) FROM queue");
    assert_in_range(woken, 1, 50);
    assert_true(fire(5000));
    assert_int_equal(query("SELECT count(*) FROM queue"), 2 * woken);
    mono_step_us = 10 * 1000000LL;
    go_on(); /* one by one if need be */
    assert_int_equal(query("SELECT count(*) FROM queue"), MANY);
}

static void test_what_several_commits_have_woken_is_told_at_once(void **state)
{
    struct bw_store_wakes wakes;
    (void)state;
    for (uint32_t i = 0; i < 3; i++) put_step(i, BW_RUN_PARKED, sleeping("nap", 5000 + i));
    assert_true(bw_parking_news(&writer.parking, &wakes));
    for (uint32_t i = 0; i < 2; i++) fire(5000 + i);
    assert_true(bw_parking_news(&writer.parking, &wakes));
    assert_int_equal(wakes.woken, 2);
    assert_int_equal(wakes.next_due_ms, 5002);
    assert_false(bw_parking_news(&writer.parking, &wakes));
}

/* An event has come; a timer, a later event and new waits must not change what its waiters see. */
static void test_an_event_whose_turn_has_not_come_is_not_overtaken(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    (void)state;
    park_many();
    int64_t event = accept_key(KEY);
    const struct bw_wait_arm later = {KEY, event};
    fire(5000);
    int64_t second = accept_key(KEY);
    put_step(MANY, BW_RUN_PARKED, waiting("wait", &arm, 1, 0));
    put_step(MANY + 1, BW_RUN_PARKED, waiting("wait", &later, 1, 0));
    go_on();
    while (fire(5000)) continue;
    assert_int_equal(query("SELECT count(*) FROM wakes"), MANY + 2);
    assert_int_equal(query("SELECT count(*) FROM wakes WHERE kind <> 2"), 0);
    assert_int_equal(wake_of(MANY, "event_id"), event);
    assert_int_equal(wake_of(MANY + 1, "event_id"), second);
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM wakes WHERE event_id <> %lld", (long long)event);
    assert_int_equal(query(sql), 1);
}

static void test_waits_for_later_events_are_not_woken_by_the_rest_of_an_earlier_one(void **state)
{
    struct bw_wait_arm later = {KEY, 0};
    (void)state;
    park_many();
    later.since_event = accept_key(KEY);
    for (uint32_t i = 0; i < BW_WAKES_AT_ONCE; i++) put_step(i, BW_RUN_PARKED, waiting("wait", &later, 1, 0)); /* in front of the others */
    go_on();
    assert_int_equal(query("SELECT count(*) FROM queue"), MANY - BW_WAKES_AT_ONCE);
    assert_int_equal(query("SELECT count(*) FROM waits"), BW_WAKES_AT_ONCE);
    accept_key(KEY);
    assert_int_equal(query("SELECT count(*) FROM waits"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_an_event_wakes_who_waits_for_one_of_its_keys),
        PARKING(test_an_event_wakes_all_who_wait_and_wakes_each_once),
        PARKING(test_a_duplicate_event_wakes_nobody),
        PARKING(test_too_many_keys_are_refused),
        PARKING(test_a_timer_fires_when_it_is_due_and_never_before),
        PARKING(test_a_timeout_ends_the_waiting_for_events),
        PARKING(test_timers_fire_oldest_first_a_bounded_number_at_once),
        PARKING(test_the_earliest_timer_is_known_without_asking),
        PARKING(test_an_event_that_very_many_wait_for_holds_no_commit_for_long),
        PARKING(test_a_group_wakes_a_bounded_number_whatever_it_holds),
        PARKING(test_the_rest_is_woken_after_a_restart),
        PARKING(test_a_failed_commit_of_the_rest_forgets_nobody),
        PARKING(test_a_slow_disk_makes_the_portions_smaller),
        PARKING(test_what_several_commits_have_woken_is_told_at_once),
        PARKING(test_an_event_whose_turn_has_not_come_is_not_overtaken),
        PARKING(test_waits_for_later_events_are_not_woken_by_the_rest_of_an_earlier_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
