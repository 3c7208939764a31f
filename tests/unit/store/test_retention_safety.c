/* Whatever happens in whatever order, retention takes nothing that is needed: at random, across crashes, and in a store of the first version. */
#include "base/embedded.h"
#include "retention_fixture.h"
#include "store/migrate.h"
#include <sys/wait.h>

/* ---- at random ---- */

enum { EVENTS = 3000, KEYS = 40 };
struct model_event {
    int64_t id, at_ms, ended_ms, resolved_ms;
    uint32_t uid;          /* of its run */
    enum bw_run_state run; /* 0 = none */
    uint32_t workflow;     /* of its run, index of `said` */
    bool is_pending;
};
/* Runs of three workflows: with the ages of the instance, and with their own. */
static struct bw_about said[] = {{.workflow = {"deploy", 6}, .ok_ms = BW_KEEP_UNSAID, .failed_ms = BW_KEEP_UNSAID},
                                 {.workflow = {"quick", 5}, .ok_ms = DAY_MS, .failed_ms = 2 * DAY_MS},
                                 {.workflow = {"ledger", 6}, .ok_ms = 0, .failed_ms = 120 * DAY_MS}};
static const int64_t ok_ages_ms[] = {14 * DAY_MS, DAY_MS, 100000 * DAY_MS}, failed_ages_ms[] = {90 * DAY_MS, 2 * DAY_MS, 120 * DAY_MS};
static struct model_event events[EVENTS];
static size_t event_count;
static int64_t key_expires[KEYS];
static uint64_t seed;

static uint32_t draw(uint32_t below) /* the same in each run of the test */
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % below;
}

static void accept_one(void)
{
    char key[16] = "";
    uint32_t k = draw(2 * KEYS);
    int64_t window_ms = (1 + draw(60)) * DAY_MS;
    if (k < KEYS) snprintf(key, sizeof key, "k%u", (unsigned)k);
    struct bw_store_op op = accept_op(next_number++, key);
    op.event.at_ms = op.delivery.at_ms = wall_ms;
    op.event.dedupe_expire_ms = wall_ms + window_ms;
    commit(&op);
    bool is_known = k < KEYS && key_expires[k] > wall_ms;
    if (op.is_duplicate != is_known) fail_msg("%s: duplicate %d, expected %d", key, op.is_duplicate, is_known);
    if (is_known) return;
    if (k < KEYS) key_expires[k] = wall_ms + window_ms;
    if (event_count) assert_true(op.event_id > events[event_count - 1].id);
    events[event_count++] = (struct model_event){.id = op.event_id, .at_ms = wall_ms, .is_pending = true};
}

static void end_one(void)
{
    static const enum bw_run_state states[] = {0, BW_RUN_SUCCEEDED, BW_RUN_SUCCEEDED, BW_RUN_FAILED, BW_RUN_SKIPPED, BW_RUN_CANCELLED};
    struct model_event *event = &events[draw((uint32_t)event_count)];
    if (!event->is_pending) return;
    if (event->run) { /* its run has ended, now the event */
        report(event->id, 0, 0, 0, true);
        event->is_pending = false;
        return;
    }
    event->run = states[draw(6)];
    event->ended_ms = wall_ms;
    event->uid = 1000000 + next_number;
    event->is_pending = event->run && draw(5) == 0;
    event->workflow = draw(8) ? draw(2) : 2; /* few of those that stay for ever */
    report_workflow = said[event->workflow].workflow.ptr;
    report(event->id, event->run, 0, event->run ? draw(4) : 0, !event->is_pending);
}

/* A failed run that is long ended counts as resolved: 0 = it is not. */
static int64_t resolved_at(const struct model_event *event)
{
    int64_t by_age_ms = event->ended_ms + 180 * DAY_MS;
    return event->resolved_ms ? event->resolved_ms : by_age_ms <= wall_ms ? by_age_ms : 0;
}

static void discard_some(void)
{
    for (size_t i = draw(8); i < event_count; i += 8) {
        struct model_event *event = &events[i];
        if (event->run != BW_RUN_FAILED || resolved_at(event)) continue;
        assert_string_equal(do_letter(BW_LETTER_DISCARD, uid_of(event->uid)), "");
        event->resolved_ms = wall_ms;
    }
}

static void assert_needed_are_there(bool is_capped)
{
    assert_sound();
    for (size_t i = 0; i < event_count; i++) {
        const struct model_event *event = &events[i];
        bool is_failed = event->run == BW_RUN_FAILED, is_dead = is_failed && !resolved_at(event);
        bool is_young =
            is_failed ? resolved_at(event) > wall_ms - failed_ages_ms[event->workflow] : event->ended_ms > wall_ms - ok_ages_ms[event->workflow];
        bool needs_run = event->run && (event->is_pending || is_dead || (!is_capped && is_young));
        bool needs_event = event->is_pending || (!is_capped && event->at_ms > wall_ms - 30 * DAY_MS);
        if (needs_run && !has_row("runs", "event_id", event->id)) fail_msg("the run of event %lld is lost", (long long)event->id);
        if (needs_event && !has_row("events", "id", event->id)) fail_msg("event %lld is lost", (long long)event->id);
        if (event->is_pending && !has_row("pending", "event_id", event->id)) fail_msg("event %lld is done by itself", (long long)event->id);
    }
}

static void assert_old_are_gone(void)
{
    char sql[400];
    for (size_t i = 0; i < 3; i++) {
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM runs WHERE workflow = '%s' AND event_id NOT IN (SELECT event_id FROM pending) AND CASE WHEN state <> 21 "
                 "THEN ended_ms + %lld WHEN resolved THEN resolved_ms + %lld ELSE ended_ms + %lld END <= %lld",
                 said[i].workflow.ptr, (long long)ok_ages_ms[i], (long long)failed_ages_ms[i], (long long)(failed_ages_ms[i] + 180 * DAY_MS),
                 (long long)wall_ms);
        assert_int_equal(query(sql), 0);
    }
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM events WHERE id NOT IN (SELECT event_id FROM pending) AND id NOT IN (SELECT event_id FROM runs) "
             "AND id < (SELECT max(id) FROM events) AND at_ms <= %lld",
             (long long)(wall_ms - 30 * DAY_MS));
    assert_int_equal(query(sql), 0);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM deliveries WHERE at_ms <= %lld", (long long)(wall_ms - 14 * DAY_MS));
    assert_int_equal(query(sql), 0);
}

static void live_through(uint64_t with_seed, const struct bw_retention_config *keep)
{
    struct bw_error err = {0};
    bool is_capped = keep->max_size_bytes != 0;
    seed = with_seed;
    event_count = 0;
    memset(key_expires, 0, sizeof key_expires);
    reopen_writer(keep);
    say_about(said, 3);
    while (event_count < EVENTS) {
        uint32_t what = draw(1000);
        if (what < 500)
            accept_one();
        else if (what < 940 && event_count)
            end_one();
        else if (what < 950 && event_count)
            discard_some();
        else if (what < 985)
            wall_ms += draw(32) * HOUR_MS;
        else if (what < 996) { /* some slices of a pass, and then something else comes */
            mono_us += 3600 * 1000000LL;
            assert_no_error(bw_retention_measure(&writer.retention, &err), err);
            for (uint32_t i = draw(4); i > 0; i--) assert_no_error(bw_retention_slice(&writer.retention, &err), err);
        } else if (what < 998) {
            pass(); /* it may have been in the middle of one */
            pass();
            assert_needed_are_there(is_capped);
            if (!is_capped) assert_old_are_gone();
        } else
            reopen_writer(keep);
    }
    assert_needed_are_there(is_capped);
    assert_true(query("SELECT count(*) FROM events") - query("SELECT count(*) FROM pending") < EVENTS / 4);
}

static void test_by_age_nothing_needed_goes_and_nothing_old_stays(void **state)
{
    (void)state;
    live_through(20260101, &defaults);
}

static void test_by_size_nothing_live_goes_and_no_key_is_forgotten(void **state)
{
    struct bw_retention_config keep = defaults;
    (void)state;
    keep.max_size_bytes = 400000;
    live_through(4711, &keep);
}

/* ---- crashes: bellwire-test child FOLDER ---- */

static const struct bw_retention_config at_once = {.deliveries_ms = 1, .events_ms = 1, .succeeded_ms = 1, .failed_ms = 1};

static int child_main(char **argv)
{
    struct bw_error err = {0};
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    writer = (struct bw_writer){.reserve = -1, .retention.keep = at_once};
    if (!bw_writer_open(&writer, argv[2], &err)) return 3;
    for (int i = 0; i < 1000 && bw_retention_wait_us(&writer.retention, true) == 0; i++)
        if (!bw_retention_slice(&writer.retention, &err)) return 4;
    bw_writer_close(&writer, true);
    return 0;
}

static int run_child(const char *crash)
{
    char variable[80];
    int status;
    snprintf(variable, sizeof variable, "BELLWIRE_CRASH=%s", crash);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *args[] = {(char *)"child", (char *)"child", folder, NULL}, *environment[] = {variable, NULL};
        execve("/proc/self/exe", args, environment);
        _exit(4);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_a_crash_around_a_removal_leaves_all_that_is_needed(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const char *const points[] = {"store.before_removal:1", "store.after_removal:1", "store.before_removal:3", "store.after_removal:3",
                                         "store.before_removal:5", "store.after_removal:5", "store.before_removal:2", ""};
    static const struct bw_retention_config none;
    (void)state;
    wall_ms = bw_clock_wall_ms(); /* the child has the real clock: a day is long past for it */
    reopen_writer(&none);
    int64_t live[20];
    for (size_t i = 0; i < 20; i++) {
        live[i] = add_event(DAY_MS, "", 0);
        report(live[i], i % 2 ? BW_RUN_ACTIVE : BW_RUN_SUCCEEDED, DAY_MS, 2, false);
        for (int k = 0; k < 20; k++) add_done(DAY_MS, BW_RUN_SUCCEEDED);
    }
    int64_t keyed = add_event(DAY_MS, "k", 30000 * DAY_MS);
    report(keyed, 0, 0, 0, true);
    add_newest();
    for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
        bw_writer_close(&writer, true);
        int status = run_child(points[p]);
        if (status != (*points[p] ? 137 : 0)) fail_msg("%s: %d", points[p], status);
        open_writer(&none);
        assert_sound();
        assert_int_equal(query("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
        for (size_t i = 0; i < 20; i++)
            assert_true(has_row("pending", "event_id", live[i]) && has_row("bodies", "event_id", live[i]) && has_row("runs", "event_id", live[i]));
        assert_int_equal(query("SELECT count(*) FROM steps s JOIN runs r ON r.id = s.run_id JOIN pending p ON p.event_id = r.event_id"), 40);
    }
    assert_int_equal(query("SELECT count(*) FROM events"), 21);
    assert_int_equal(query("SELECT count(*) FROM runs"), 20);
    assert_true(rings_twice("k"));
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

/* ---- a store of the first version ---- */

static void test_a_store_of_version_1_is_migrated_and_keeps_its_keys(void **state)
{
    struct bw_embedded first[2] = {{0}};
    struct bw_error err = {0};
    (void)state;
    for (const struct bw_embedded *file = bw_embedded_sql; file->name; file++)
        if (strcmp(file->name, "001_initial") == 0) first[0] = *file;
    assert_non_null(first[0].name);
    bw_writer_close(&writer, true);
    for (const char *const *name = (const char *const[]){"bellwire.db", "bellwire.db-wal", "bellwire.db-shm", NULL}; *name; name++)
        unlink(in_folder(*name));
    sqlite3 *db = bw_database_open_writer(folder, &err);
    assert_no_error(db, err);
    assert_no_error(bw_migrate(db, first, &err), err);
    assert_false(bw_migrate_check(db, bw_embedded_sql, &err));
    assert_string_equal(err.code, "store.older");
    assert_no_error(bw_sql_exec(db,
                                "INSERT INTO events VALUES(7, x'00112233445566778899aabbccddeeff', 1000, 1, 1, 'github', 'github.push', NULL, "
                                "x'00000000000000000000000000000000', 4000000000000);"
                                "INSERT INTO bodies VALUES(7, 0, NULL, x''); INSERT INTO matches VALUES(7, 0)",
                                &err),
                    err);
    bw_database_close(db, true);
    open_writer(&defaults);
    assert_int_equal(query("PRAGMA user_version"), bw_migrate_version(bw_embedded_sql));
    assert_int_equal(writer.dedupe.recent.count, 1);
    add_newest();
    pass();
    assert_false(has_row("events", "id", 7));
    reopen_writer(&defaults);
    assert_int_equal(writer.dedupe.recent.count, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITER(test_by_age_nothing_needed_goes_and_nothing_old_stays),
        WITH_WRITER(test_by_size_nothing_live_goes_and_no_key_is_forgotten),
        WITH_WRITER(test_a_crash_around_a_removal_leaves_all_that_is_needed),
        WITH_WRITER(test_a_store_of_version_1_is_migrated_and_keeps_its_keys),
    };
    if (argc == 3 && strcmp(argv[1], "child") == 0) return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
