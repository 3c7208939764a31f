/* Parked runs in old stores, across crashes, and beside retention. */
#include "base/embedded.h"
#include "parking_fixture.h"
#include "store/migrate.h"

enum { MANY = 600 };
static const uint64_t KEY = 42;
static const struct bw_retention_config never;

static void go_on(void)
{
    struct bw_error err = {0};
    int again_ms;
    while (writer.parking.has_wakings) assert_no_error(bw_writer_idle(&writer, &again_ms, &err), err);
}

/* ---- retention ---- */

static void finish_event(int64_t event_id)
{
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = event_id, .event_done = true, .matched = 1};
    commit(&op);
}

static void years_pass(void)
{
    wall_ms += 1000 * DAY_MS;
    add_newest();
    pass();
    assert_sound();
}

static void test_a_parked_run_and_its_event_stay_whatever_their_age(void **state)
{
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    finish_event(first_event);
    years_pass();
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_true(has_row("bodies", "event_id", first_event));
    fire(5000);
    years_pass();
    assert_true(queue_of(1) > 0);
    put_step(1, BW_RUN_SUCCEEDED, step_row("nap", BW_STEP_SUCCEEDED));
    years_pass();
    assert_false(has_row("events", "id", first_event));
}

static void test_a_parked_run_stays_above_the_cap(void **state)
{
    struct bw_retention_config keep = {.max_size_bytes = 1};
    struct bw_error err = {0};
    (void)state;
    put_step(1, BW_RUN_PARKED, sleeping("nap", 5000));
    finish_event(first_event);
    add_done(0, BW_RUN_SUCCEEDED);
    add_newest();
    reopen_writer(&keep);
    run_slices();
    assert_true(bw_retention_refuses(&writer.retention, &err));
    assert_int_equal(query("SELECT count(*) FROM runs"), 1);
    assert_int_equal(state_of(1), BW_RUN_PARKED);
    assert_true(has_row("bodies", "event_id", first_event));
}

static void test_an_event_that_a_wake_names_stays_until_the_run_has_dealt_with_it(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    (void)state;
    put_step(1, BW_RUN_PARKED, waiting("wait", &arm, 1, 0));
    int64_t event = accept_key(KEY), other = accept_key(KEY);
    years_pass();
    assert_true(has_row("bodies", "event_id", event));
    assert_false(has_row("events", "id", other));
    assert_false(has_row("event_keys", "event_id", other));
    put_step(1, BW_RUN_PARKED, sleeping("wait", 5000));
    years_pass();
    assert_false(has_row("events", "id", event));
    assert_int_equal(query("SELECT count(*) FROM event_keys"), 0);
}

static void test_an_event_that_has_not_woken_all_stays(void **state)
{
    const struct bw_wait_arm arm = {KEY, first_event};
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) put_step(i, BW_RUN_PARKED, waiting("wait", &arm, 1, 0));
    int64_t event = accept_key(KEY);
    for (uint32_t i = 0; i < MANY; i++)
        if (queue_of(i)) put(i, BW_RUN_SUCCEEDED, NULL, 0); /* no wake names it any more */
    assert_int_equal(query("SELECT count(*) FROM wakes"), 0);
    years_pass();
    assert_true(has_row("events", "id", event));
    go_on();
    assert_int_equal(query("SELECT count(*) FROM wakes"), MANY - BW_WAKES_AT_ONCE);
}

static void test_keys_go_with_their_events_in_small_transactions(void **state)
{
    uint64_t keys[BW_EVENT_KEYS_MAX];
    (void)state;
    for (size_t i = 0; i < BW_EVENT_KEYS_MAX; i++) keys[i] = i;
    for (int i = 0; i < 200; i++) accept_keys(keys, BW_EVENT_KEYS_MAX);
    years_pass(); /* run_slices() counts what each transaction removes */
    assert_int_equal(query("SELECT count(*) FROM event_keys"), 0);
}

/* ---- a store of version 2 ---- */

static void test_a_store_of_version_2_is_migrated_and_its_runs_can_park(void **state)
{
    struct bw_embedded files[3] = {{0}};
    struct bw_error err = {0};
    (void)state;
    for (const struct bw_embedded *file = bw_embedded_sql; file->name; file++)
        if (strncmp(file->name, "001", 3) == 0 || strncmp(file->name, "002", 3) == 0) files[file->name[2] - '1'] = *file;
    bw_writer_close(&writer, true);
    for (const char *const *name = (const char *const[]){"bellwire.db", "bellwire.db-wal", "bellwire.db-shm", NULL}; *name; name++)
        unlink(in_folder(*name));
    sqlite3 *db = bw_database_open_writer(folder, &err);
    assert_no_error(db, err);
    assert_no_error(bw_migrate(db, files, &err), err);
    assert_no_error(
        bw_sql_exec(db,
                    "INSERT INTO events VALUES(7, x'00112233445566778899aabbccddeeff', 1000, 1, 1, 'github', 'github.push', NULL, NULL, NULL);"
                    "INSERT INTO bodies VALUES(7, 0, NULL, x''); INSERT INTO pending VALUES(7);"
                    "INSERT INTO runs VALUES(3, x'0100000000000000000000000000004d', 7, 'deploy', x'00', 2, 0, 1, 0, NULL, NULL);"
                    "INSERT INTO steps VALUES(3, 'nap', 0, 2, 1, 1, 0, NULL, NULL, NULL)",
                    &err),
        err);
    bw_database_close(db, true);
    open_writer(&defaults);
    first_event = 7;
    assert_int_equal(query("PRAGMA user_version"), bw_migrate_version(bw_embedded_sql));
    put_step(0x4d, BW_RUN_PARKED, sleeping("nap", 5000));
    assert_int_equal(state_of(0x4d), BW_RUN_PARKED);
    fire(5000);
    assert_true(queue_of(0x4d) > 0);
    assert_sound();
}

/* ---- crashes: bellwire-test child FOLDER EVENT ---- */

/* One park, one event that very many wait for, one timer. */
static int child_main(char **argv)
{
    struct bw_error err = {0};
    int again_ms;
    static const struct bw_clock clock = {.wall_ms = fake_wall, .mono_us = fake_mono}; /* it stands: no portion ends early */
    bw_clock_override(&clock);
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    writer = (struct bw_writer){.reserve = -1};
    next_number = 1000;
    first_event = atoll(argv[3]);
    if (!bw_writer_open(&writer, argv[2], &err)) return 3;
    put_step(MANY, BW_RUN_PARKED, sleeping("nap", 5000));
    accept_key(KEY);
    while (writer.parking.has_wakings)
        if (!bw_writer_idle(&writer, &again_ms, &err)) return 4;
    fire(5000);
    bw_writer_close(&writer, true);
    return 0;
}

static void test_a_crash_around_a_park_or_a_wake_is_before_it_or_after_it(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const struct {
        const char *point;
        enum bw_run_state sleeper;         /* after the crash */
        int64_t woken_waiters, kept_event; /* before anything is done about it */
    } cases[] = {
        {"store.before_park:1", 0, 0, 0},
        {"store.after_park:1", BW_RUN_PARKED, 0, 0},
        {"store.before_wake:1", BW_RUN_PARKED, 0, 0}, /* the event: it was not answered, it will come again */
        {"store.after_wake:1", BW_RUN_PARKED, BW_WAKES_AT_ONCE, 1},
        {"store.before_wake:2", BW_RUN_PARKED, BW_WAKES_AT_ONCE, 1}, /* the rest of its waiters */
        {"store.after_wake:2", BW_RUN_PARKED, MANY, 1},
        {"store.before_wake:3", BW_RUN_PARKED, MANY, 1}, /* the timer */
        {"store.after_wake:3", BW_RUN_ACTIVE, MANY, 1},
        {"", BW_RUN_ACTIVE, MANY, 1},
    };
    const struct bw_wait_arm arm = {KEY, first_event};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i && (teardown(state) || parking_setup(state))) fail();
        for (uint32_t k = 0; k < MANY; k++) put_step(k, BW_RUN_PARKED, waiting("wait", &arm, 1, 9000));
        bw_writer_close(&writer, true);
        int status = run_child(cases[i].point);
        if (status != (*cases[i].point ? 137 : 0)) fail_msg("%s: %d", cases[i].point, status);
        open_writer(&never);
        assert_sound();
        assert_int_equal(state_of(MANY), cases[i].sleeper);
        assert_int_equal(query("SELECT count(*) FROM queue JOIN runs r ON r.id = run_id JOIN wakes USING(run_id) WHERE kind = 2"),
                         cases[i].woken_waiters);
        assert_int_equal(query("SELECT count(*) FROM event_keys"), cases[i].kept_event);
        /* all of it ends as if there had been no crash */
        if (!cases[i].sleeper) put_step(MANY, BW_RUN_PARKED, sleeping("nap", 5000));
        if (!cases[i].kept_event) accept_key(KEY);
        go_on();
        assert_false(fire(9000));
        assert_int_equal(query("SELECT count(*) FROM queue"), MANY + 1);
        assert_int_equal(query("SELECT count(*) FROM wakes WHERE kind = 2"), MANY);
        assert_int_equal(wake_of(MANY, "kind"), BW_WAKE_TIMER);
        assert_sound();
    }
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_a_parked_run_and_its_event_stay_whatever_their_age),
        PARKING(test_a_parked_run_stays_above_the_cap),
        PARKING(test_an_event_that_a_wake_names_stays_until_the_run_has_dealt_with_it),
        PARKING(test_an_event_that_has_not_woken_all_stays),
        PARKING(test_keys_go_with_their_events_in_small_transactions),
        PARKING(test_a_store_of_version_2_is_migrated_and_its_runs_can_park),
        PARKING(test_a_crash_around_a_park_or_a_wake_is_before_it_or_after_it),
    };
    if (argc == 4 && strcmp(argv[1], "child") == 0) return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
