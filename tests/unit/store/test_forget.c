/* Between two tests of `bellwire test` the store forgets what happened, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parking_fixture.h"

static void forget(void)
{
    struct bw_store_op op = {.kind = BW_OP_FORGET};
    commit(&op);
}

static void test_every_table_but_those_of_the_catalogue_is_empty(void **state)
{
    const struct bw_wait_arm arm = {7, 0};
    struct bw_revision_file file = {BW_SLICE("workflow"), BW_SLICE("a.yaml"), BW_SLICE("name: a")};
    struct bw_store_op revision = {.kind = BW_OP_REVISION, .revision = &(struct bw_revision){&file, 1}};
    sqlite3_stmt *tables;
    (void)state;
    commit(&revision);
    put_step(1, BW_RUN_PARKED, waiting("wait", &arm, 1, START_MS + 5));
    put_step(2, BW_RUN_SUCCEEDED, step_row("done", BW_STEP_SUCCEEDED));
    assert_true(query("SELECT count(*) FROM runs") == 2 && query("SELECT count(*) FROM timers") == 1);
    forget();
    assert_int_equal(sqlite3_prepare_v2(writer.db,
                                        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN "
                                        "('meta', 'versions', 'revisions', 'revision_files', 'wait_pairs', 'schedules', 'events', 'keys')",
                                        -1, &tables, NULL),
                     SQLITE_OK);
    size_t count = 0;
    for (; sqlite3_step(tables) == SQLITE_ROW; count++) {
        char sql[200];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\"", (const char *)sqlite3_column_text(tables, 0));
        if (query(sql)) fail_msg("%s", sql);
    }
    sqlite3_finalize(tables);
    assert_true(count > 10);
    assert_int_equal(query("SELECT count(*) FROM revision_files"), 1);
    assert_int_equal(writer.parking.committed_due_ms, 0);
}

static void test_ids_go_on_and_keys_are_new_again(void **state)
{
    struct bw_store_op first = accept_op(101, "key"), again = accept_op(102, "key"), after = accept_op(103, "key"), twice = accept_op(104, "key");
    (void)state;
    commit(&first);
    commit(&again);
    assert_true(!first.is_duplicate && again.is_duplicate);
    forget();
    commit(&after);
    commit(&twice);
    assert_true(!after.is_duplicate && twice.is_duplicate);
    assert_true(after.event_id > first.event_id);
    forget();
    reopen_writer(&(struct bw_retention_config){0}); /* nor does it come back from the disk */
    struct bw_store_op reopened = accept_op(105, "key");
    commit(&reopened);
    assert_false(reopened.is_duplicate);
    assert_true(reopened.event_id > after.event_id);
}

static void test_an_earlier_event_does_not_end_a_wait(void **state)
{
    const struct bw_wait_arm arm = {7, 0};
    (void)state;
    accept_key(7);
    forget();
    put_step(3, BW_RUN_PARKED, waiting("wait", &arm, 1, 0));
    assert_int_equal(state_of(3), BW_RUN_PARKED);
    accept_key(7);
    assert_int_equal(state_of(3), BW_RUN_ACTIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_table_but_those_of_the_catalogue_is_empty, parking_setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_go_on_and_keys_are_new_again, parking_setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_earlier_event_does_not_end_a_wait, parking_setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
