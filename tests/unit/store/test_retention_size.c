/* The cap of the database: what goes first, what never goes, who is refused, and that the file gives space back. */
#include "retention_fixture.h"
#include <sys/stat.h>

#define CAP (2 << 20)
static const struct bw_retention_config capped = {.max_size_bytes = CAP};
static char text[8000];

static int setup_capped(void **state)
{
    memset(text, 'x', sizeof text);
    if (setup(state)) return -1;
    reopen_writer(&capped);
    return 0;
}

static int64_t used_bytes(void)
{
    return (query("PRAGMA page_count") - query("PRAGMA freelist_count")) * 4096;
}

static int64_t add_large(enum bw_run_state run, bool is_done)
{
    struct bw_store_op op = accept_op(next_number++, "");
    op.event.at_ms = op.delivery.at_ms = wall_ms;
    op.event.body = (struct bw_slice){text, sizeof text};
    commit(&op);
    if (run || is_done) report(op.event_id, run, 0, run ? 2 : 0, is_done);
    return op.event_id;
}

static void measure_and_pass(void)
{
    struct bw_error err = {0};
    assert_no_error(bw_retention_measure(&writer.retention, &err), err);
    run_slices();
}

static void test_below_the_cap_nothing_goes(void **state)
{
    (void)state;
    while (used_bytes() < CAP - 40000) add_large(BW_RUN_SUCCEEDED, true);
    int64_t runs = query("SELECT count(*) FROM runs");
    pass();
    measure_and_pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), runs);
    assert_int_equal(query("SELECT count(*) FROM deliveries"), runs);
}

static void test_deliveries_go_first_and_the_oldest_of_them(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) add_large(BW_RUN_SUCCEEDED, true);
    while (used_bytes() <= CAP) {
        struct bw_store_op op = refused_op("github", wall_ms + 1000 * next_number++, BW_OUTCOME_UNVERIFIED);
        op.delivery.detail = (struct bw_slice){text, 3000};
        commit(&op);
    }
    int64_t newest = query("SELECT max(id) FROM deliveries");
    measure_and_pass();
    assert_true(used_bytes() <= CAP - CAP / 20);
    assert_true(used_bytes() >= CAP - CAP / 20 - 40000); /* and no more than needed */
    assert_true(has_row("deliveries", "id", newest));
    assert_false(has_row("deliveries", "id", 1));
    assert_int_equal(query("SELECT count(*) FROM events") + query("SELECT count(*) FROM runs"), 40);
}

static void test_ended_runs_go_next_with_their_events_oldest_first(void **state)
{
    (void)state;
    int64_t pending = add_large(0, false), active = add_large(BW_RUN_ACTIVE, false), failed = add_large(BW_RUN_FAILED, true);
    int64_t oldest = add_large(BW_RUN_SUCCEEDED, true), newest = oldest;
    while (used_bytes() <= CAP) newest = add_large(next_number % 2 ? BW_RUN_SUCCEEDED : 0, true);
    measure_and_pass();
    assert_true(used_bytes() <= CAP - CAP / 20);
    assert_int_equal(query("SELECT count(*) FROM deliveries"), 0);
    assert_false(has_row("events", "id", oldest));
    assert_true(has_row("events", "id", newest));
    assert_int_equal(query("SELECT max(id) - min(id) + 1 - count(*) FROM events WHERE id > 3"), 0); /* no hole: from the oldest on */
    assert_true(query("SELECT count(*) FROM events") > 50);
    assert_true(has_row("pending", "event_id", pending) && has_row("runs", "event_id", active) && has_row("runs", "event_id", failed));
    assert_sound();
    assert_false(bw_retention_refuses(&writer.retention, NULL));
}

static void test_failed_runs_go_last_and_only_when_they_are_resolved(void **state)
{
    (void)state;
    int64_t live = add_large(BW_RUN_ACTIVE, false), failed = add_large(BW_RUN_FAILED, true), succeeded = 0;
    while (used_bytes() <= CAP - 40000) {
        add_large(BW_RUN_FAILED, true);
        assert_string_equal(do_letter(BW_LETTER_DISCARD, uid_of(last_run)), "");
    }
    while (used_bytes() <= CAP) succeeded = add_large(BW_RUN_SUCCEEDED, true);
    add_large(BW_RUN_FAILED, true);
    measure_and_pass();
    assert_true(used_bytes() <= CAP - CAP / 20);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 20"), 0);
    assert_false(has_row("events", "id", succeeded));
    assert_true(query("SELECT count(*) FROM runs WHERE state = 21") > 100);
    assert_true(has_row("events", "id", live) && has_row("runs", "event_id", failed));
    assert_false(has_row("events", "id", failed + 1));
    assert_sound();
}

static void test_keys_survive_the_events_that_the_cap_removed(void **state)
{
    (void)state;
    int64_t event = add_event(0, "k", DAY_MS);
    report(event, 0, 0, 0, true);
    while (used_bytes() <= CAP) add_large(BW_RUN_SUCCEEDED, true);
    measure_and_pass();
    assert_false(has_row("events", "id", event));
    assert_true(rings_twice("k"));
    reopen_writer(&capped);
    assert_true(rings_twice("k"));
    wall_ms += DAY_MS;
    assert_false(rings_twice("k"));
}

static void test_with_only_live_ones_left_events_are_refused_until_there_is_room(void **state)
{
    struct bw_error err = {0};
    (void)state;
    int64_t first = add_large(0, false), last = first;
    while (used_bytes() <= CAP + 40000) last = add_large(BW_RUN_ACTIVE, false);
    int64_t events = query("SELECT count(*) FROM events");
    assert_false(bw_retention_refuses(&writer.retention, &err)); /* not before it is known that nothing may go */
    measure_and_pass();
    assert_true(bw_retention_refuses(&writer.retention, &err));
    assert_string_equal(err.code, "store.full");
    assert_non_null(strstr(err.message, "retention.max_size"));
    assert_non_null(strstr(err.hint, "raise retention.max_size"));
    assert_int_equal(query("SELECT count(*) FROM events"), events);
    assert_int_equal(query("SELECT count(*) FROM runs"), events - 1);
    for (int64_t id = first; id < last; id++) report(id, 0, 0, 0, true);
    assert_no_error(bw_sql_exec(writer.db, "UPDATE runs SET state = 20, ended_ms = started_ms", &err), err); /* as their reports would have done */
    pass();
    assert_false(bw_retention_refuses(&writer.retention, &err));
    assert_true(used_bytes() <= CAP - CAP / 20);
    assert_true(has_row("events", "id", last));
}

static void ignore(struct bw_store_op *op)
{
    (void)op;
}

static void test_the_store_answers_503_and_takes_reports_and_recovers(void **state)
{
    struct bw_error err = {0};
    struct bw_store_op op;
    int tries = 0;
    (void)state;
    while (used_bytes() <= CAP + 40000) add_large(0, false);
    int64_t last = query("SELECT max(id) FROM events");
    bw_writer_close(&writer, true);
    mono_step_us = 100; /* so that no retry has to be waited for */
    struct bw_store *store = bw_store_open_keeping(folder, &capped, &err);
    assert_no_error(store, err);
    do {
        op = accept_op(next_number++, "");
        assert_true(tries++ < 1000);
    } while (bw_store_submit_wait(store, &op, &err));
    assert_string_equal(err.code, "store.full");
    assert_false(bw_store_is_failed(store));

    static struct bw_store_op mixed[3];
    mixed[0] = accept_op(next_number++, "");
    mixed[1] = (struct bw_store_op){.kind = BW_OP_REPORT, .event_id = 1, .event_done = true};
    mixed[2] = accept_op(next_number++, "");
    for (int i = 0; i < 3; i++) {
        mixed[i].done = ignore;
        bw_store_submit(store, &mixed[i]);
    }
    for (int64_t id = 2; id <= last; id++) {
        op = (struct bw_store_op){.kind = BW_OP_REPORT, .event_id = id, .event_done = true};
        submit(store, &op);
    }
    assert_true(mixed[0].failed);
    assert_false(mixed[1].failed);
    assert_true(mixed[2].failed);
    tries = 0;
    do {
        op = accept_op(next_number++, "");
        assert_true(tries++ < 100000);
    } while (!bw_store_submit_wait(store, &op, &err));
    bw_store_close(store);
    mono_step_us = 0;
    open_writer(&capped);
    assert_false(has_row("events", "id", 1));
    assert_sound();
}

static int64_t file_bytes(void)
{
    struct stat info;
    assert_int_equal(stat(in_folder("bellwire.db"), &info), 0);
    return (int64_t)info.st_size;
}

static void test_the_file_gives_space_back(void **state)
{
    struct bw_error err = {0};
    int again_ms = 0;
    (void)state;
    reopen_writer(&defaults);
    for (int i = 0; i < 600; i++) add_large(BW_RUN_SUCCEEDED, true);
    reopen_writer(&defaults);
    int64_t before = file_bytes();
    assert_true(before > 600 * (int64_t)sizeof text);
    wall_ms += 40 * DAY_MS;
    for (int i = 0; again_ms == 0; i++) {
        assert_no_error(bw_writer_idle(&writer, &again_ms, &err), err);
        assert_true(i < 1000);
    }
    assert_true(again_ms > 0); /* the next pass */
    assert_int_equal(query("SELECT count(*) FROM events"), 1);
    assert_true(file_bytes() < before / 10);
    assert_sound();
}

static void test_a_failure_postpones_and_loses_nothing(void **state)
{
    struct bw_error err = {0};
    (void)state;
    reopen_writer(&defaults);
    for (int i = 0; i < 20; i++) add_done(40 * DAY_MS, BW_RUN_SUCCEEDED);
    add_event(40 * DAY_MS, "k", 90 * DAY_MS);
    report(21, 0, 0, 0, true);
    add_newest();
    assert_no_error(bw_sql_exec(writer.db, "CREATE TEMP TRIGGER no BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'no'); END", &err), err);
    mono_us += 4 * HOUR_MS * 1000;
    bool failed = false;
    for (int i = 0; i < 100 && !failed; i++) failed = !bw_retention_slice(&writer.retention, &err);
    assert_true(failed);
    assert_true(bw_retention_wait_us(&writer.retention, true) > 1000000);
    assert_int_equal(query("SELECT count(*) FROM events"), 22);
    assert_sound();
    assert_no_error(bw_sql_exec(writer.db, "DROP TRIGGER no", &err), err);
    pass();
    assert_int_equal(query("SELECT count(*) FROM events"), 1);
    assert_true(rings_twice("k"));
}

#define WITH_CAP(test) cmocka_unit_test_setup_teardown(test, setup_capped, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CAP(test_below_the_cap_nothing_goes),
        WITH_CAP(test_deliveries_go_first_and_the_oldest_of_them),
        WITH_CAP(test_ended_runs_go_next_with_their_events_oldest_first),
        WITH_CAP(test_failed_runs_go_last_and_only_when_they_are_resolved),
        WITH_CAP(test_keys_survive_the_events_that_the_cap_removed),
        WITH_CAP(test_with_only_live_ones_left_events_are_refused_until_there_is_room),
        WITH_CAP(test_the_store_answers_503_and_takes_reports_and_recovers),
        WITH_CAP(test_the_file_gives_space_back),
        WITH_CAP(test_a_failure_postpones_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
