/* retention_fixture.h: a writer without its thread, rows of any age, and time that only the test moves. */
#ifndef BW_TEST_RETENTION_FIXTURE_H
#define BW_TEST_RETENTION_FIXTURE_H
#include "base/log.h"
#include "fixture.h"
#include "store/about.h"
#include "store/database.h"
#include "store/letters.h"
#include "store/writer.h"

#define HOUR_MS (3600 * 1000LL)
#define DAY_MS (24 * HOUR_MS)
#define START_MS (1000 * DAY_MS)

__attribute__((unused)) static const struct bw_retention_config defaults = {
    .deliveries_ms = 14 * DAY_MS, .events_ms = 30 * DAY_MS, .succeeded_ms = 14 * DAY_MS, .failed_ms = 90 * DAY_MS};
static struct bw_writer writer;
static _Atomic int64_t wall_ms, mono_us, mono_step_us; /* mono moves by the step each time it is asked */
__attribute__((unused)) static uint32_t next_number;
static const char *report_workflow; /* whose runs report() adds */

static int64_t fake_wall(void *arg)
{
    (void)arg;
    return wall_ms;
}

static int64_t fake_mono(void *arg)
{
    (void)arg;
    return mono_us += mono_step_us;
}

__attribute__((unused)) static void open_writer(const struct bw_retention_config *keep)
{
    struct bw_error err = {0};
    writer = (struct bw_writer){.reserve = -1, .dedupe.generation = 256, .retention.keep = *keep};
    assert_no_error(bw_writer_open(&writer, folder, &err), err);
}

__attribute__((unused)) static void reopen_writer(const struct bw_retention_config *keep)
{
    bw_writer_close(&writer, true);
    open_writer(keep);
}

__attribute__((unused)) static int setup(void **state)
{
    static const struct bw_clock clock = {.wall_ms = fake_wall, .mono_us = fake_mono};
    wall_ms = START_MS;
    mono_us = 1000000;
    mono_step_us = 0;
    report_workflow = "deploy";
    next_number = 1;
    bw_clock_override(&clock);
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    if (make_folder(state)) return -1;
    open_writer(&defaults);
    return 0;
}

__attribute__((unused)) static int teardown(void **state)
{
    bw_writer_close(&writer, true);
    bw_clock_override(NULL);
    return remove_folder(state);
}

__attribute__((unused)) static void commit(struct bw_store_op *first)
{
    struct bw_store_op *culprit;
    struct bw_error err = {0};
    assert_no_error(bw_writer_commit(&writer, first, &culprit, &err), err);
}

__attribute__((unused)) static int64_t query(const char *sql)
{
    int64_t value;
    struct bw_error err = {0};
    assert_no_error(bw_sql_integer(writer.db, sql, &value, &err), err);
    return value;
}

__attribute__((unused)) static bool has_row(const char *table, const char *column, int64_t id)
{
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE %s = %lld", table, column, (long long)id);
    return query(sql) > 0;
}

/* An event accepted `age_ms` ago; still pending. */
__attribute__((unused)) static int64_t add_event(int64_t age_ms, const char *key, int64_t window_ms)
{
    struct bw_store_op op = accept_op(next_number++, key);
    op.event.at_ms = op.delivery.at_ms = wall_ms - age_ms;
    op.event.dedupe_expire_ms = op.event.at_ms + window_ms;
    commit(&op);
    assert_false(op.is_duplicate);
    return op.event_id;
}

static uint32_t last_run; /* the number of its uid */

/* What somebody does about that run; the code of the refusal, "" = it was done. */
__attribute__((unused)) static const char *do_letter(enum bw_letter_verb verb, struct bw_uid run)
{
    static struct bw_letter letter;
    letter = (struct bw_letter){.run = run, .replay = uid_of(2000000 + next_number++)};
    struct bw_letters letters = {.verb = verb, .actor = BW_SLICE("ann"), .now_ms = wall_ms, .items = &letter, .count = 1};
    struct bw_store_op op = {.kind = BW_OP_LETTERS, .letters = &letters};
    commit(&op);
    return letter.is_refused ? letter.refusal.code : "";
}

/* A report of one run with `steps` steps; state 0 = no run. */
__attribute__((unused)) static void report(int64_t event_id, enum bw_run_state state, int64_t age_ms, size_t steps, bool is_done)
{
    static struct bw_step_row rows[2000];
    static char names[2000][24];
    struct bw_run_row run = {.uid = uid_of(last_run = 1000000 + next_number++),
                             .workflow = bw_slice_of(report_workflow),
                             .state = state,
                             .started_ms = wall_ms - age_ms,
                             .ended_ms = state == BW_RUN_ACTIVE ? 0 : wall_ms - age_ms,
                             .steps = rows,
                             .step_count = steps};
    for (size_t i = 0; i < steps; i++) {
        snprintf(names[i], sizeof names[i], "s%zu", i);
        rows[i] = (struct bw_step_row){.path = bw_slice_of(names[i]), .state = BW_STEP_SUCCEEDED, .attempt = 1};
    }
    struct bw_store_op op = {
        .kind = BW_OP_REPORT, .event_id = event_id, .runs = &run, .run_count = state ? 1 : 0, .event_done = is_done, .matched = state ? 1 : 0};
    commit(&op);
}

/* What the catalogue says from now on. */
__attribute__((unused)) static void say_about(struct bw_about *items, size_t count)
{
    struct bw_about_list list = {items, count};
    struct bw_store_op op = {.kind = BW_OP_ABOUT, .about = &list};
    struct bw_error err = {0};
    commit(&op);
    assert_no_error(bw_retention_measure(&writer.retention, &err), err);
}

/* An event that is done, with one run that ended at once. */
__attribute__((unused)) static int64_t add_done(int64_t age_ms, enum bw_run_state state)
{
    int64_t event = add_event(age_ms, "", 0);
    report(event, state, age_ms, state ? 2 : 0, true);
    return event;
}

/* The newest event stays always: without this it would be the one that a test looks at. */
__attribute__((unused)) static void add_newest(void)
{
    add_event(0, "", 0);
}

/* Slices until nothing is due; each removes at most 500 rows. */
__attribute__((unused)) static int run_slices(void)
{
    struct bw_error err = {0};
    int slices = 0;
    for (; bw_retention_wait_us(&writer.retention, true) == 0; slices++) {
        int kept = (int)query("SELECT count(*) FROM dedupe_kept"), before = sqlite3_total_changes(writer.db);
        assert_no_error(bw_retention_slice(&writer.retention, &err), err);
        int more_kept = (int)query("SELECT count(*) FROM dedupe_kept") - kept;
        assert_in_range(sqlite3_total_changes(writer.db) - before - (more_kept > 0 ? more_kept : 0), 0, BW_REMOVAL_ROWS);
        assert_true(slices < 10000);
    }
    return slices;
}

/* A pass with the time as it is now. */
__attribute__((unused)) static int pass(void)
{
    mono_us += 3 * 3600 * 1000000LL;
    return run_slices();
}

__attribute__((unused)) static bool rings_twice(const char *key)
{
    struct bw_store_op op = accept_op(next_number++, key);
    op.event.at_ms = wall_ms;
    op.event.dedupe_expire_ms = wall_ms + DAY_MS;
    commit(&op);
    return op.is_duplicate;
}
/* What the sweeper would repair. */
__attribute__((unused)) static size_t count_faults(void)
{
    sqlite3_stmt *const checks[] = {
        BW_WRITE(&writer.sql, sweep_parked),  BW_WRITE(&writer.sql, sweep_active), BW_WRITE(&writer.sql, sweep_timers),
        BW_WRITE(&writer.sql, sweep_waits),   BW_WRITE(&writer.sql, sweep_wakes),  BW_WRITE(&writer.sql, sweep_queue),
        BW_WRITE(&writer.sql, sweep_joins),   BW_WRITE(&writer.sql, sweep_slots),  BW_WRITE(&writer.sql, sweep_delayed),
        BW_WRITE(&writer.sql, sweep_blocked), BW_WRITE(&writer.sql, sweep_held),   BW_WRITE(&writer.sql, sweep_collectors)};
    _Static_assert(sizeof checks / sizeof *checks == BW_SWEEP_CHECKS, "as many as sweep.c has");
    size_t faults = 0;
    struct bw_error err = {0};
    for (size_t i = 0; i < BW_SWEEP_CHECKS; i++) {
        bw_sql_bind_int(checks[i], 1, 0);
        bw_sql_bind_int(checks[i], 2, INT32_MAX);
        for (bool more = true; more;) {
            assert_no_error(bw_sql_next(checks[i], &more, &err), err);
            faults += more && sqlite3_column_int(checks[i], 1) != 0;
        }
    }
    return faults;
}

/* Nothing without its parent, nothing live without what it needs; and the file is sound. */
__attribute__((unused)) static void assert_sound(void)
{
    static const char *const none[] = {
        "SELECT count(*) FROM steps WHERE run_id NOT IN (SELECT id FROM runs)",
        "SELECT count(*) FROM runs WHERE event_id NOT IN (SELECT id FROM events)",
        "SELECT count(*) FROM bodies WHERE event_id NOT IN (SELECT id FROM events)",
        "SELECT count(*) FROM matches WHERE event_id NOT IN (SELECT id FROM events)",
        "SELECT count(*) FROM pending WHERE event_id NOT IN (SELECT id FROM events)",
        "SELECT count(*) FROM events WHERE id NOT IN (SELECT event_id FROM bodies)",
        "SELECT count(*) FROM revision_files WHERE version NOT IN (SELECT id FROM versions)",
        "SELECT count(*) FROM dedupe_kept WHERE event_id IN (SELECT id FROM events)",
        "SELECT count(*) FROM event_keys WHERE event_id NOT IN (SELECT id FROM events)",
        "SELECT count(*) FROM wakings WHERE event_id NOT IN (SELECT id FROM events)",
        "SELECT count(*) FROM wakes WHERE event_id IS NOT NULL AND event_id NOT IN (SELECT id FROM events)",
        "SELECT count(*) FROM queue WHERE run_id NOT IN (SELECT id FROM runs WHERE state = 2)",
        /* what waits or has been woken is a live run's step, and it is one of the two */
        "SELECT count(*) FROM (SELECT run_id, path FROM timers UNION SELECT run_id, path FROM waits UNION SELECT run_id, path FROM wakes) w "
        "WHERE path NOT IN ('', '~start', '~within') AND NOT EXISTS (SELECT 1 FROM steps s JOIN runs r ON r.id = s.run_id "
        "WHERE s.run_id = w.run_id AND s.path = w.path AND s.state < 20 AND r.state < 20)",
        "SELECT count(*) FROM timers WHERE path = '' AND run_id NOT IN (SELECT id FROM runs WHERE state < 20)", /* a deadline */
        "SELECT count(*) FROM (SELECT run_id, path FROM timers UNION SELECT run_id, path FROM waits) w JOIN wakes USING(run_id, path)",
        /* who is delayed has its place, and the first of each group a timer; who is blocked waits for a slot (schema/012_admission.sql) */
        "SELECT count(*) FROM timers WHERE path IN ('~start', '~within') AND run_id NOT IN (SELECT id FROM runs WHERE state IN (1, 4))",
        "SELECT count(*) FROM timers t JOIN runs r ON r.id = t.run_id WHERE t.path = '~start' AND r.state <> 4",
        "SELECT count(*) FROM delayed WHERE run_id NOT IN (SELECT id FROM runs WHERE state = 4)",
        "SELECT count(*) FROM runs WHERE state = 4 AND id NOT IN (SELECT run_id FROM timers WHERE path = '~start') AND id NOT IN "
        "(SELECT run_id FROM delayed)",
        "SELECT count(*) FROM delayed d WHERE (run_id = (SELECT min(run_id) FROM delayed f WHERE f.grp = d.grp)) <> "
        "EXISTS (SELECT 1 FROM timers t WHERE t.run_id = d.run_id AND t.path = '~start')",
        "SELECT count(*) FROM runs WHERE state = 1 AND id NOT IN (SELECT run_id FROM slots WHERE state = 0)",
        "SELECT count(*) FROM slots s JOIN runs r ON r.id = s.run_id WHERE s.state <> CASE WHEN r.state = 1 THEN 0 WHEN r.state = 2 THEN 1 "
        "WHEN r.state = 3 THEN 2 - holds_parked ELSE 1 END",
        "SELECT count(*) FROM slots s LEFT JOIN runs r ON r.id = s.run_id WHERE coalesce(r.state, 20) >= 20 AND NOT (s.holds_failed AND r.state = 21 "
        "AND NOT r.resolved)",
        "SELECT count(*) FROM slots s WHERE state = 0 AND most > (SELECT count(*) FROM slots h WHERE h.grp = s.grp AND h.state = 1) AND "
        "run_id = (SELECT run_id FROM slots o WHERE o.grp = s.grp AND state = 0 ORDER BY order_ms, event_id, run_id LIMIT 1)",
        /* who is parked can be woken and has not been */
        "SELECT count(*) FROM runs WHERE state = 3 AND id NOT IN (SELECT run_id FROM timers UNION SELECT run_id FROM waits "
        "UNION SELECT run_id FROM joins WHERE is_open)",
        "SELECT count(*) FROM runs WHERE state = 3 AND id IN (SELECT run_id FROM wakes)",
        /* each event is in one collector of a workflow, and the collector is open, or has a run (schema/013_collect.sql) */
        "SELECT count(*) FROM collected WHERE event_id NOT IN (SELECT id FROM events)",
        "SELECT count(*) FROM collected WHERE collector_id NOT IN (SELECT id FROM collectors)",
        "SELECT count(*) FROM runs WHERE collector_id <> 0 AND collector_id NOT IN (SELECT id FROM collectors)",
        "SELECT count(*) FROM collectors c WHERE count <> (SELECT count(*) FROM collected WHERE collector_id = c.id)",
        "SELECT count(*) FROM collectors WHERE (due_ms IS NULL) <> (id IN (SELECT collector_id FROM runs)) OR (due_ms IS NULL AND grp IS NOT NULL)",
        "SELECT count(*) FROM (SELECT 1 FROM collected d JOIN collectors c ON c.id = d.collector_id GROUP BY c.workflow, d.event_id HAVING count(*) "
        "> 1)",
        "SELECT count(*) FROM runs r WHERE collector_id <> 0 AND event_id <> (SELECT max(event_id) FROM collected d WHERE d.collector_id = "
        "r.collector_id)",
        /* children (schema/005_children.sql) */
        "SELECT count(*) FROM children WHERE run_id NOT IN (SELECT id FROM runs)",
        "SELECT count(*) FROM joins WHERE run_id NOT IN (SELECT id FROM runs)",
        "SELECT count(*) FROM join_contexts WHERE join_id NOT IN (SELECT id FROM joins)",
        "SELECT count(*) FROM join_items WHERE id / 2048 NOT IN (SELECT id FROM joins WHERE started < total)",
        "SELECT count(*) FROM joins WHERE again < 0 OR (again > 0 AND started - again < succeeded + failed)",
        "SELECT count(*) FROM steps s JOIN runs r ON r.id = s.run_id WHERE s.again AND NOT r.resumed_ms AND r.origin IS NULL",
        "SELECT count(*) FROM joins WHERE is_open AND run_id IN (SELECT id FROM runs WHERE state >= 20)",
        "SELECT count(*) FROM joins j WHERE NOT is_detached AND is_open AND started - succeeded - failed - again <> (SELECT count(*) FROM children c "
        "JOIN runs r ON r.id = c.run_id WHERE c.join_id = j.id AND r.state < 20)",
        "SELECT count(*) FROM joins WHERE started - succeeded - failed - again > concurrency AND is_open",
        "SELECT count(*) FROM joins WHERE is_open AND failed <= allowed AND started - again < total AND started - succeeded - failed - again < "
        "concurrency",
        "SELECT count(*) FROM joins j WHERE is_open AND started - again = succeeded + failed AND (started - again = total OR failed > allowed) "
        "AND NOT EXISTS (SELECT 1 FROM wakes w WHERE w.run_id = j.run_id AND w.path = j.path AND w.kind = 4)",
        "SELECT count(*) FROM children c JOIN joins j ON j.id = c.join_id JOIN runs p ON p.id = j.run_id JOIN runs r ON r.id = c.run_id "
        "WHERE NOT j.is_detached AND p.state >= 20 AND r.state < 20 AND NOT r.resumed_ms",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (query(none[i])) fail_msg("%s: %lld", none[i], (long long)query(none[i]));
}

#define WITH_WRITER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#endif
