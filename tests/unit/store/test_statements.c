/* Statements are prepared when they are needed first: a mistake in one that is needed seldom is to be found here, not there. */
#include "base/embedded.h"
#include "fixture.h"
#include "store/reader_sql.h"
#include "store/sql_texts.h"
#include "store/writer.h"

static struct bw_writer writer;

static int open_writer(void **state)
{
    struct bw_error err = {0};
    writer = (struct bw_writer){.reserve = -1};
    return make_folder(state) || !bw_writer_open(&writer, folder, &err);
}

static int close_writer(void **state)
{
    bw_writer_close(&writer, true);
    return remove_folder(state);
}

static void prepare_all(const struct bw_statements *all)
{
    for (size_t i = 0; i < all->count; i++) {
        struct bw_error err = {0};
        char text[1200];
        if (!bw_sql_prepare(all, i, &err)) fail_msg("%s: %s", all->names[i], bw_error_text(&err, text, sizeof text));
        assert_non_null(all->prepared[i]);
        assert_ptr_equal(bw_sql_statement(all, i), all->prepared[i]);
    }
}

static void test_each_statement_can_be_prepared(void **state)
{
    struct bw_error err = {0};
    struct bw_reader *reader = bw_reader_open(folder, &err);
    (void)state;
    assert_non_null(reader);
    assert_int_equal(writer.sql.all.count, BW_WRITE_COUNT);
    assert_int_equal(reader->sql.count, BW_READ_COUNT);
    prepare_all(&writer.sql.all);
    prepare_all(&reader->sql);
    bw_reader_close(reader);
}

static void test_each_text_is_a_statement_of_somebody(void **state)
{
    size_t count = 0;
    (void)state;
    for (const struct bw_embedded *file = bw_embedded_sql; file->name; file++)
        for (const char *at = file->data; (at = strstr(at, "-- name: ")); at++) count++;
    assert_int_equal(count, BW_WRITE_COUNT + BW_READ_COUNT);
}

static void test_a_text_is_known_by_file_and_name(void **state)
{
    int line = -1;
    (void)state;
    assert_int_equal(strncmp(bw_sql_text("write", "begin", &line), "BEGIN IMMEDIATE;\n", 17), 0);
    assert_int_equal(line, 4);
    assert_null(bw_sql_text("read", "begin", &line));
    assert_null(bw_sql_text("write", "begi", &line));
    assert_null(bw_sql_text("write", "begin_", &line));
    assert_null(bw_sql_text("nothing", "begin", &line));
    assert_int_equal(line, 0);
}

/* What a transaction ends with must be there when nothing else can be had any more. */
static void test_only_what_is_needed_is_prepared(void **state)
{
    (void)state;
    assert_non_null(writer.sql.prepared[BW_WRITE_begin]);
    assert_non_null(writer.sql.prepared[BW_WRITE_commit]);
    assert_non_null(writer.sql.prepared[BW_WRITE_rollback]);
    assert_null(writer.sql.prepared[BW_WRITE_put_audit]);
    assert_non_null(BW_WRITE(&writer.sql, put_audit));
    assert_non_null(writer.sql.prepared[BW_WRITE_put_audit]);
}

static void test_what_cannot_be_prepared_is_an_error_with_its_place(void **state)
{
    struct bw_error err = {0};
    bool has_row = true;
    int line;
    (void)state;
    assert_true(bw_sql_exec(writer.db, "DROP TABLE audit", &err));
    sqlite3_stmt *statement = BW_WRITE(&writer.sql, put_audit);
    assert_null(statement);
    bw_sql_bind_int(statement, 1, 1); /* as those do who do not look */
    bw_sql_bind_text(statement, 2, BW_SLICE("text"));
    bw_sql_bind_blob(statement, 3, "blob", 4);
    assert_false(bw_sql_run(statement, &err));
    assert_string_equal(err.code, "store.refused");
    assert_non_null(strstr(err.message, "no such table: audit"));
    assert_string_equal(err.file, "write.sql");
    bw_sql_text("write", "put_audit", &line);
    assert_int_equal(err.line, line);
    err = (struct bw_error){0};
    assert_false(bw_sql_next(statement, &has_row, &err));
    assert_false(has_row);
    assert_string_equal(err.code, "store.refused");
    assert_false(bw_sql_run(statement, NULL));
}

static void test_a_name_without_a_text_is_an_error(void **state)
{
    static const char *const names[] = {"nobody"};
    sqlite3_stmt *prepared[1] = {NULL};
    const struct bw_statements all = {.db = writer.db, .file = "read", .names = names, .count = 1, .prepared = prepared};
    struct bw_error err = {0};
    (void)state;
    assert_null(bw_sql_statement(&all, 0));
    assert_false(bw_sql_run(bw_sql_statement(&all, 0), &err));
    assert_string_equal(err.code, "store.failed");
    assert_non_null(strstr(err.message, "'nobody'"));
    assert_string_equal(err.file, "read.sql");
}

/* Calls ask for their statement before they set their deadline. */
static void test_the_deadline_of_the_call_before_cuts_nothing(void **state)
{
    struct bw_error err = {0};
    struct bw_reader *reader = bw_reader_open(folder, &err);
    (void)state;
    assert_non_null(reader);
    reader->deadline_us = 0;
    for (size_t i = 0; i < BW_READ_COUNT; i++) assert_non_null(bw_reader_statement(reader, (enum bw_read_statement)i));
    assert_non_null(BW_READ(reader, runs));
    bw_reader_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_statement_can_be_prepared, open_writer, close_writer),
        cmocka_unit_test(test_each_text_is_a_statement_of_somebody),
        cmocka_unit_test(test_a_text_is_known_by_file_and_name),
        cmocka_unit_test_setup_teardown(test_only_what_is_needed_is_prepared, open_writer, close_writer),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_prepared_is_an_error_with_its_place, open_writer, close_writer),
        cmocka_unit_test_setup_teardown(test_a_name_without_a_text_is_an_error, open_writer, close_writer),
        cmocka_unit_test_setup_teardown(test_the_deadline_of_the_call_before_cuts_nothing, open_writer, close_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
