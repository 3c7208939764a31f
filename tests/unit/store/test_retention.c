/* What goes by age and what stays, each rule by itself. */
#include "retention_fixture.h"

static void test_deliveries_go_after_their_age(void **state)
{
    struct bw_store_op old = refused_op("github", wall_ms - 14 * DAY_MS, BW_OUTCOME_UNVERIFIED);
    struct bw_store_op young = refused_op("github", wall_ms - 14 * DAY_MS + 1, BW_OUTCOME_UNVERIFIED);
    (void)state;
    commit(&old);
    commit(&young);
    pass();
    assert_int_equal(query("SELECT count(*) FROM deliveries"), 1);
    wall_ms++;
    pass();
    assert_int_equal(query("SELECT count(*) FROM deliveries"), 0);
}

static void test_refusals_that_went_are_not_counted_among_those_kept(void **state)
{
    (void)state;
    writer.deliveries.refused_kept = 10;
    for (int i = 0; i < 505; i++) {
        struct bw_store_op op = refused_op("github", wall_ms - 20 * DAY_MS + i * 1000, BW_OUTCOME_UNVERIFIED);
        commit(&op);
    }
    pass();
    assert_int_equal(query("SELECT count(*) FROM deliveries"), 0);
    for (int i = 0; i < 100; i++) {
        struct bw_store_op op = refused_op("github", wall_ms + i * 1000, BW_OUTCOME_UNVERIFIED);
        commit(&op);
    }
    assert_int_equal(query("SELECT count(*) FROM deliveries"), 100); /* with the old count 500 would have been trimmed */
}

static void test_repeats_are_counted_in_a_row_that_is_there(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * BW_DELIVERY_ROWS_PER_SECOND; i++) {
        struct bw_store_op op = refused_op("github", wall_ms - 20 * DAY_MS, BW_OUTCOME_UNVERIFIED);
        if (i == BW_DELIVERY_ROWS_PER_SECOND) pass(); /* removes the row that repeats are counted in */
        commit(&op);
    }
    assert_int_equal(query("SELECT sum(times) FROM deliveries"), BW_DELIVERY_ROWS_PER_SECOND);
}

static void test_ended_runs_go_after_their_age_with_their_steps(void **state)
{
    static const enum bw_run_state states[] = {BW_RUN_SUCCEEDED, BW_RUN_SKIPPED, BW_RUN_CANCELLED};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        add_done(14 * DAY_MS, states[i]);
        add_done(14 * DAY_MS - 1, states[i]);
    }
    pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), 3);
    assert_int_equal(query("SELECT count(*) FROM steps"), 6);
    assert_int_equal(query("SELECT count(*) FROM steps WHERE run_id NOT IN (SELECT id FROM runs)"), 0);
    assert_int_equal(query("SELECT count(*) FROM events"), 6); /* theirs is another age */
    wall_ms++;
    pass();
    assert_int_equal(query("SELECT count(*) FROM runs") + query("SELECT count(*) FROM steps"), 0);
}

static void test_a_failed_run_stays_as_long_as_configured_after_it_was_resolved(void **state)
{
    static const enum bw_letter_verb verbs[] = {BW_LETTER_DISCARD, BW_LETTER_REPLAY};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int64_t event = add_done(100 * DAY_MS, BW_RUN_FAILED);
        int64_t run = query("SELECT max(id) FROM runs");
        add_newest();
        assert_string_equal(do_letter(verbs[i], uid_of(last_run)), "");
        wall_ms += 90 * DAY_MS - 1;
        pass();
        assert_true(has_row("runs", "id", run));
        assert_int_equal(query("SELECT count(*) FROM audit"), 1);
        wall_ms++;
        pass();
        assert_false(has_row("runs", "id", run));
        assert_int_equal(query("SELECT count(*) FROM audit"), 0);
        assert_int_equal(has_row("events", "id", event), verbs[i] == BW_LETTER_REPLAY); /* its replay is not done */
    }
}

static void test_a_failed_run_counts_as_discarded_after_180_days(void **state)
{
    struct bw_retention_config keep = defaults;
    (void)state;
    keep.failed_ms = HOUR_MS;
    reopen_writer(&keep);
    int64_t event = add_done(180 * DAY_MS + HOUR_MS - 1, BW_RUN_FAILED);
    add_newest();
    pass();
    assert_true(has_row("runs", "event_id", event));
    wall_ms++;
    pass();
    assert_false(has_row("runs", "event_id", event));
    assert_false(has_row("events", "id", event)); /* its age is over since long, only the run had held it */
}

static void test_active_runs_stay_whatever_their_age(void **state)
{
    (void)state;
    int64_t event = add_event(300 * DAY_MS, "", 0);
    report(event, BW_RUN_ACTIVE, 300 * DAY_MS, 2, false);
    int64_t odd = add_event(300 * DAY_MS, "", 0);
    report(odd, BW_RUN_ACTIVE, 300 * DAY_MS, 2, true); /* never happens, and would be no reason either */
    add_newest();
    pass();
    assert_true(has_row("runs", "event_id", event) && has_row("events", "id", event) && has_row("pending", "event_id", event));
    assert_true(has_row("runs", "event_id", odd) && has_row("events", "id", odd));
    assert_int_equal(query("SELECT count(*) FROM steps"), 4);
}

/* After a restart the engine starts the runs of a pending event that it finds no ended row of. */
static void test_ended_runs_of_a_pending_event_stay(void **state)
{
    (void)state;
    int64_t event = add_event(300 * DAY_MS, "", 0);
    report(event, BW_RUN_SUCCEEDED, 300 * DAY_MS, 2, false);
    report(event, BW_RUN_FAILED, 300 * DAY_MS, 2, false);
    add_newest();
    pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), 2);
    assert_int_equal(query("SELECT count(*) FROM steps"), 4);
    report(event, 0, 0, 0, true);
    pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), 0);
    assert_false(has_row("events", "id", event));
}

static void test_events_go_after_their_age_with_all_that_is_theirs(void **state)
{
    (void)state;
    int64_t old = add_done(30 * DAY_MS, 0), young = add_done(30 * DAY_MS - 1, 0);
    add_newest();
    pass();
    assert_false(has_row("events", "id", old) || has_row("bodies", "event_id", old) || has_row("matches", "event_id", old));
    assert_true(has_row("events", "id", young) && has_row("bodies", "event_id", young) && has_row("matches", "event_id", young));
}

static void test_pending_events_stay_whatever_their_age(void **state)
{
    (void)state;
    int64_t event = add_event(300 * DAY_MS, "", 0);
    add_newest();
    pass();
    assert_true(has_row("events", "id", event) && has_row("bodies", "event_id", event) && has_row("pending", "event_id", event));
}

static void test_an_event_stays_as_long_as_a_run_of_it(void **state)
{
    (void)state;
    int64_t event = add_done(60 * DAY_MS, BW_RUN_FAILED);
    add_newest();
    pass();
    assert_true(has_row("events", "id", event) && has_row("bodies", "event_id", event));
}

/* SQLite would give its id to the next event: runs, deliveries and dedupe keys would be another event's. */
static void test_the_newest_event_stays(void **state)
{
    (void)state;
    int64_t old = add_done(300 * DAY_MS, 0), newest = add_done(300 * DAY_MS, 0);
    pass();
    assert_false(has_row("events", "id", old));
    assert_true(has_row("events", "id", newest));
    assert_true(add_event(0, "", 0) > newest);
}

static void test_without_an_age_things_stay_for_ever(void **state)
{
    (void)state;
    reopen_writer(&(struct bw_retention_config){0});
    add_done(300 * DAY_MS, BW_RUN_SUCCEEDED);
    add_newest();
    assert_int_equal(bw_retention_wait_us(&writer.retention, true), -1);
    reopen_writer(&(struct bw_retention_config){.deliveries_ms = HOUR_MS});
    pass();
    assert_int_equal(query("SELECT count(*) FROM deliveries"), 1);
    assert_int_equal(query("SELECT count(*) FROM runs"), 1);
    assert_int_equal(query("SELECT count(*) FROM events"), 2);
}

static void test_what_stays_does_not_hide_what_is_old_behind_it(void **state)
{
    (void)state;
    int64_t ahead = add_done(-300 * DAY_MS, BW_RUN_SUCCEEDED); /* by a clock that was wrong */
    for (int i = 0; i < 600; i++) add_done(40 * DAY_MS, BW_RUN_FAILED);
    for (int i = 0; i < 20; i++) add_done(40 * DAY_MS, BW_RUN_SUCCEEDED);
    add_newest();
    pass();
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 20"), 1);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 21"), 600);
    assert_int_equal(query("SELECT count(*) FROM events"), 602);
    assert_true(has_row("events", "id", ahead));
}

static void test_a_large_run_goes_in_several_transactions(void **state)
{
    (void)state;
    int64_t event = add_event(40 * DAY_MS, "", 0);
    report(event, BW_RUN_SUCCEEDED, 40 * DAY_MS, 1200, true);
    add_newest();
    assert_true(pass() > 4); /* each of at most 500 rows: see run_slices */
    assert_int_equal(query("SELECT count(*) FROM runs") + query("SELECT count(*) FROM steps"), 0);
    assert_false(has_row("events", "id", event));
}

static void test_slices_make_progress_however_slow_the_disk(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) add_done(40 * DAY_MS, i % 3 ? BW_RUN_SUCCEEDED : BW_RUN_FAILED);
    add_newest();
    mono_step_us = 1000000; /* each look at the clock finds the time over */
    pass();
    for (int i = 0; i < 1000 && writer.retention.walk; i++) run_slices();
    mono_step_us = 0;
    assert_int_equal(query("SELECT count(*) FROM runs"), 7);
    assert_int_equal(query("SELECT count(*) FROM events"), 8);
}

static void test_between_groups_slices_get_a_fiftieth_of_the_time(void **state)
{
    struct bw_error err = {0};
    (void)state;
    for (int i = 0; i < 400; i++) add_done(40 * DAY_MS, BW_RUN_SUCCEEDED);
    assert_int_equal(bw_retention_wait_us(&writer.retention, false), 0);
    mono_step_us = 20;
    int64_t began_us = mono_us;
    assert_no_error(bw_writer_between_groups(&writer, true, &err), err);
    int64_t took_us = mono_us - began_us, rows = query("SELECT count(*) FROM deliveries");
    mono_step_us = 0;
    assert_in_range(rows, 1, 399); /* something went, not all */
    assert_in_range(bw_retention_wait_us(&writer.retention, false), 20 * took_us, 60 * took_us);
    assert_no_error(bw_writer_between_groups(&writer, true, &err), err);
    assert_int_equal(query("SELECT count(*) FROM deliveries"), rows);
    assert_int_equal(bw_retention_wait_us(&writer.retention, true), 0); /* whoever is idle needs not wait */
}

/* ---- dedupe ---- */

static void test_a_duplicate_of_a_removed_event_is_known(void **state)
{
    (void)state;
    int64_t event = add_event(40 * DAY_MS, "k", 50 * DAY_MS);
    report(event, 0, 0, 0, true);
    add_newest();
    pass();
    assert_false(has_row("events", "id", event));
    struct bw_store_op again = accept_op(next_number++, "k");
    again.event.at_ms = wall_ms;
    commit(&again);
    assert_true(again.is_duplicate);
    assert_true(bw_uid_is_zero(again.duplicate_of));
    assert_int_equal(query("SELECT count(*) FROM deliveries WHERE outcome = 1 AND event_id IS NULL"), 1);
    reopen_writer(&defaults); /* its key was in memory only, and in no event any more */
    assert_true(rings_twice("k"));
    wall_ms += 10 * DAY_MS;
    assert_false(rings_twice("k"));
}

static void test_a_key_that_was_taken_anew_stays_the_newer_ones(void **state)
{
    (void)state;
    int64_t first = add_event(60 * DAY_MS, "k", 5 * DAY_MS), second = add_event(40 * DAY_MS, "k", 50 * DAY_MS);
    report(first, 0, 0, 0, true);
    report(second, 0, 0, 0, true);
    add_newest();
    pass();
    assert_int_equal(query("SELECT count(*) FROM dedupe_kept"), 1);
    reopen_writer(&defaults);
    assert_true(rings_twice("k"));
    assert_int_equal(query("SELECT count(*) FROM events"), 1);
}

static void test_kept_keys_go_when_they_are_merged(void **state)
{
    char key[16];
    (void)state;
    int64_t merged = add_event(40 * DAY_MS, "merged", 900 * DAY_MS);
    report(merged, 0, 0, 0, true);
    add_newest();
    pass();
    assert_int_equal(query("SELECT count(*) FROM dedupe_kept"), 1);
    for (int i = 0; i < 600; i++) { /* fills the generation: it is written along the way */
        snprintf(key, sizeof key, "k%d", i);
        add_event(0, key, DAY_MS);
    }
    assert_true(query("SELECT value FROM meta WHERE name = 'dedupe_merged'") > merged);
    pass();
    assert_int_equal(query("SELECT count(*) FROM dedupe_kept"), 0);
    reopen_writer(&defaults);
    assert_true(rings_twice("merged"));
}

static void test_kept_keys_go_when_they_expire(void **state)
{
    (void)state;
    int64_t expired = add_event(40 * DAY_MS, "expired", 50 * DAY_MS);
    report(expired, 0, 0, 0, true);
    add_newest();
    pass();
    assert_int_equal(query("SELECT count(*) FROM dedupe_kept"), 1);
    wall_ms += 10 * DAY_MS;
    pass();
    assert_int_equal(query("SELECT count(*) FROM dedupe_kept"), 0);
}

/* ---- revisions ---- */

static uint32_t add_revision(const char *own, const char *shared)
{
    struct bw_revision_file files[] = {{BW_SLICE("workflow"), BW_SLICE("a.yaml"), bw_slice_of(own)},
                                       {BW_SLICE("workflow"), BW_SLICE("b.yaml"), bw_slice_of(shared)}};
    struct bw_revision revision = {files, 2};
    struct bw_store_op op = {.kind = BW_OP_REVISION, .revision = &revision};
    commit(&op);
    return op.revision_id;
}

static int64_t add_event_of(uint32_t revision, int64_t age_ms)
{
    struct bw_store_op op = accept_op(next_number++, "");
    op.event.at_ms = op.delivery.at_ms = wall_ms - age_ms;
    op.event.revision = revision;
    op.event.is_done = true;
    commit(&op);
    return op.event_id;
}

static void test_revisions_go_when_no_event_refers_to_them(void **state)
{
    (void)state;
    uint32_t unused = add_revision("one", "shared"), used = add_revision("two", "shared"), later = add_revision("three", "shared");
    uint32_t newest = add_revision("four", "shared");
    add_event_of(used, 0);
    int64_t old = add_event_of(later, 29 * DAY_MS);
    add_event_of(used, 0);
    reopen_writer(&defaults); /* nothing is on its way any more */
    pass();
    assert_false(has_row("revisions", "id", unused) || has_row("revision_files", "revision", unused));
    assert_true(has_row("revisions", "id", used) && has_row("revisions", "id", later) && has_row("revisions", "id", newest));
    assert_int_equal(query("SELECT count(*) FROM versions"), 4); /* two, three, four and what they share */
    wall_ms += DAY_MS;
    pass();
    assert_false(has_row("events", "id", old));
    assert_false(has_row("revisions", "id", later));
    assert_true(has_row("revisions", "id", used) && has_row("revisions", "id", newest));
    assert_int_equal(query("SELECT count(*) FROM versions"), 3);
    assert_int_equal(query("SELECT count(*) FROM revision_files WHERE version NOT IN (SELECT id FROM versions)"), 0);
}

static void test_revisions_that_were_just_handed_out_stay(void **state)
{
    char content[16];
    (void)state;
    uint32_t first = add_revision("first", "shared"), second = add_revision("second", "shared");
    for (int i = 0; i < 3; i++) {
        snprintf(content, sizeof content, "%d", i);
        add_revision(content, "shared");
    }
    pass();
    assert_false(has_row("revisions", "id", first));
    assert_true(has_row("revisions", "id", second));
    assert_int_equal(add_revision("second", "shared"), second);
    assert_int_not_equal(add_revision("first", "shared"), first); /* what went is stored anew */
}

/* ---- workflows with ages of their own ---- */

/* The catalogue has this workflow alone, or with "ledger", the runs of which stay long. */
static void say(const char *workflow, int64_t ok_ms, int64_t failed_ms, bool with_ledger)
{
    struct bw_about items[] = {{.workflow = bw_slice_of(workflow), .ok_ms = ok_ms, .failed_ms = failed_ms},
                               {.workflow = BW_SLICE("ledger"), .ok_ms = 0, .failed_ms = 200 * DAY_MS}};
    say_about(items, with_ledger ? 2 : 1);
}

static int64_t runs_of(const char *workflow, enum bw_run_state state)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM runs WHERE workflow = '%s' AND state = %d", workflow, state);
    return query(sql);
}

static void test_a_workflow_may_have_ages_of_its_own(void **state)
{
    static const char *const names[] = {"alarm", "chatty", "deploy", "ledger"};
    (void)state;
    say("chatty", HOUR_MS, BW_KEEP_UNSAID, true);
    for (size_t i = 0; i < 4; i++) {
        report_workflow = names[i];
        for (int k = 0; k < 3; k++) {
            static const int64_t ages[] = {HOUR_MS - 1, HOUR_MS, 14 * DAY_MS};
            add_done(ages[k], BW_RUN_SUCCEEDED);
            add_done(ages[k], BW_RUN_FAILED);
        }
    }
    add_newest();
    pass();
    assert_int_equal(runs_of("alarm", BW_RUN_SUCCEEDED), 2);
    assert_int_equal(runs_of("deploy", BW_RUN_SUCCEEDED), 2);
    assert_int_equal(runs_of("chatty", BW_RUN_SUCCEEDED), 1);
    assert_int_equal(runs_of("ledger", BW_RUN_SUCCEEDED), 3);
    for (size_t i = 0; i < 4; i++) assert_int_equal(runs_of(names[i], BW_RUN_FAILED), 3); /* nobody has done anything about them */
    wall_ms += 300 * DAY_MS;                                                              /* 180, then 90, or 200 */
    pass();
    assert_int_equal(query("SELECT count(*) FROM runs WHERE workflow <> 'ledger'"), 0);
    assert_int_equal(runs_of("ledger", BW_RUN_SUCCEEDED), 3);
    assert_int_equal(runs_of("ledger", BW_RUN_FAILED), 3);
    wall_ms += 100 * DAY_MS;
    pass();
    assert_int_equal(runs_of("ledger", BW_RUN_FAILED), 0);
    assert_sound();
}

static void test_ages_of_its_own_make_no_live_and_no_unresolved_run_go(void **state)
{
    (void)state;
    say("deploy", 1, 1, false);
    int64_t live = add_event(DAY_MS, "", 0), pending = add_event(DAY_MS, "", 0), failed = add_done(DAY_MS, BW_RUN_FAILED);
    report(live, BW_RUN_ACTIVE, DAY_MS, 2, false);
    report(pending, BW_RUN_SUCCEEDED, DAY_MS, 2, false);
    add_newest();
    pass();
    assert_true(has_row("runs", "event_id", live) && has_row("runs", "event_id", pending) && has_row("runs", "event_id", failed));
    assert_int_equal(query("SELECT count(*) FROM steps"), 6);
}

static void test_what_is_said_later_counts_for_runs_that_are_there(void **state)
{
    (void)state;
    add_done(2 * HOUR_MS, BW_RUN_SUCCEEDED);
    add_newest();
    pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), 1);
    say("deploy", HOUR_MS, BW_KEEP_UNSAID, false);
    assert_int_equal(bw_retention_wait_us(&writer.retention, true), 0); /* at once */
    say("deploy", BW_KEEP_UNSAID, BW_KEEP_UNSAID, false);               /* on second thoughts */
    assert_int_equal(query("SELECT count(*) FROM workflows"), 0);
    pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), 1);
    say("deploy", HOUR_MS, BW_KEEP_UNSAID, false);
    int64_t changes = query("SELECT total_changes()");
    say("deploy", HOUR_MS, BW_KEEP_UNSAID, false);
    assert_int_equal(query("SELECT total_changes()"), changes); /* saying it again writes nothing */
    reopen_writer(&(struct bw_retention_config){0});            /* also where nothing else has an age */
    pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), 0);
    say("other", HOUR_MS, BW_KEEP_UNSAID, false);
    assert_int_equal(query("SELECT count(*) FROM workflows WHERE name = 'deploy'"), 0); /* gone from the catalogue, with its last run */
}

/* A pass for the shortest age does not look at all that stays by longer ones. */
static void test_what_has_a_long_age_is_not_looked_at_in_each_pass(void **state)
{
    struct bw_error err = {0};
    (void)state;
    say("chatty", 1000, 1000, true);
    add_newest();
    pass();
    add_done(2000, BW_RUN_SUCCEEDED);
    report_workflow = "chatty";
    add_done(2000, BW_RUN_SUCCEEDED);
    report_workflow = "ledger";
    add_done(300 * DAY_MS, BW_RUN_SUCCEEDED);
    add_newest();
    for (int i = 0; i < 3; i++) {
        sqlite3_stmt_status(BW_WRITE(&writer.sql, walk_runs), SQLITE_STMTSTATUS_RUN, 1);
        sqlite3_stmt_status(BW_WRITE(&writer.sql, walk_events), SQLITE_STMTSTATUS_RUN, 1);
        mono_us += 1000000;
        run_slices();
        assert_int_equal(sqlite3_stmt_status(BW_WRITE(&writer.sql, walk_runs), SQLITE_STMTSTATUS_RUN, 0),
                         i == 0); /* chatty alone, as long as it has runs */
        assert_int_equal(sqlite3_stmt_status(BW_WRITE(&writer.sql, walk_events), SQLITE_STMTSTATUS_RUN, 0), 0);
        assert_int_equal(runs_of("chatty", BW_RUN_SUCCEEDED), 0);
    }
    wall_ms += 20 * DAY_MS;
    mono_us += 3600 * 1000000LL;
    run_slices();
    assert_int_equal(runs_of("deploy", BW_RUN_SUCCEEDED), 0);
    assert_int_equal(runs_of("ledger", BW_RUN_SUCCEEDED), 1);
    assert_no_error(bw_retention_measure(&writer.retention, &err), err);
}

/* Those of one workflow that stay must not be walked again and again for those of another one that go: each workflow is walked by its index. */
static void test_a_walk_reads_the_runs_of_one_workflow_alone(void **state)
{
    sqlite3_stmt *plan = NULL;
    char *text = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(BW_WRITE(&writer.sql, walk_runs)));
    (void)state;
    assert_int_equal(sqlite3_prepare_v2(writer.db, text, -1, &plan, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(plan), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(plan, 3), "SEARCH r USING INDEX runs_workflow (workflow=? AND rowid>?)");
    sqlite3_finalize(plan);
    sqlite3_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITER(test_deliveries_go_after_their_age),
        WITH_WRITER(test_refusals_that_went_are_not_counted_among_those_kept),
        WITH_WRITER(test_repeats_are_counted_in_a_row_that_is_there),
        WITH_WRITER(test_ended_runs_go_after_their_age_with_their_steps),
        WITH_WRITER(test_a_failed_run_stays_as_long_as_configured_after_it_was_resolved),
        WITH_WRITER(test_a_failed_run_counts_as_discarded_after_180_days),
        WITH_WRITER(test_active_runs_stay_whatever_their_age),
        WITH_WRITER(test_ended_runs_of_a_pending_event_stay),
        WITH_WRITER(test_events_go_after_their_age_with_all_that_is_theirs),
        WITH_WRITER(test_pending_events_stay_whatever_their_age),
        WITH_WRITER(test_an_event_stays_as_long_as_a_run_of_it),
        WITH_WRITER(test_the_newest_event_stays),
        WITH_WRITER(test_without_an_age_things_stay_for_ever),
        WITH_WRITER(test_what_stays_does_not_hide_what_is_old_behind_it),
        WITH_WRITER(test_a_large_run_goes_in_several_transactions),
        WITH_WRITER(test_slices_make_progress_however_slow_the_disk),
        WITH_WRITER(test_between_groups_slices_get_a_fiftieth_of_the_time),
        WITH_WRITER(test_a_duplicate_of_a_removed_event_is_known),
        WITH_WRITER(test_a_key_that_was_taken_anew_stays_the_newer_ones),
        WITH_WRITER(test_kept_keys_go_when_they_are_merged),
        WITH_WRITER(test_kept_keys_go_when_they_expire),
        WITH_WRITER(test_revisions_go_when_no_event_refers_to_them),
        WITH_WRITER(test_revisions_that_were_just_handed_out_stay),
        WITH_WRITER(test_a_workflow_may_have_ages_of_its_own),
        WITH_WRITER(test_ages_of_its_own_make_no_live_and_no_unresolved_run_go),
        WITH_WRITER(test_what_is_said_later_counts_for_runs_that_are_there),
        WITH_WRITER(test_what_has_a_long_age_is_not_looked_at_in_each_pass),
        WITH_WRITER(test_a_walk_reads_the_runs_of_one_workflow_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
