#include "fixture.h"
#include "store/database.h"
#include "store/migrate.h"
#include <sys/stat.h>

static void test_a_second_writer_is_told_who_holds_the_folder(void **state)
{
    struct bw_store *store = open_store();
    struct bw_error err = {0};
    char pid[32];
    (void)state;
    assert_null(bw_store_open(folder, &err));
    assert_string_equal(err.code, "store.locked");
    snprintf(pid, sizeof pid, "pid %ld since 20", (long)getpid());
    assert_non_null(strstr(err.message, pid));
    assert_true(strlen(err.hint) > 0);
    bw_store_close(store);
    bw_store_close(open_store()); /* and free again */
}

static void test_readers_need_a_store(void **state)
{
    struct bw_error err = {0};
    (void)state;
    assert_null(bw_reader_open(folder, &err));
    assert_string_equal(err.code, "store.missing");
    assert_true(strlen(err.hint) > 0);
}

static void test_a_folder_that_cannot_be_made_is_an_error(void **state)
{
    struct bw_error err = {0};
    (void)state;
    assert_null(bw_store_open("/proc/nowhere/data", &err));
    assert_string_equal(err.code, "store.folder");
}

static void test_only_the_owner_may_read_what_is_stored(void **state)
{
    struct stat info;
    char path[160];
    (void)state;
    assert_int_equal(rmdir(folder), 0); /* made by the store */
    struct bw_store *store = open_store();
    struct bw_store_op op = accept_op(1, "");
    submit(store, &op);
    assert_int_equal(stat(folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    static const char *const names[] = {"bellwire.db", "bellwire.db-wal", "lock"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0600);
    }
    bw_store_close(store);
}

static void change_file(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(in_folder("bellwire.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_a_newer_store_is_refused_and_both_versions_named(void **state)
{
    struct bw_error err = {0};
    char expected[64];
    (void)state;
    bw_store_close(open_store());
    change_file("PRAGMA user_version = 4711");
    assert_null(bw_store_open(folder, &err));
    assert_string_equal(err.code, "store.newer");
    assert_non_null(strstr(err.message, "4711"));
    snprintf(expected, sizeof expected, "versions up to %d", bw_migrate_version(bw_embedded_sql));
    assert_non_null(strstr(err.message, expected));
    assert_null(bw_reader_open(folder, &err));
    assert_string_equal(err.code, "store.newer");
}

static void test_another_programs_database_is_not_touched(void **state)
{
    struct bw_error err = {0};
    (void)state;
    change_file("CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
    assert_null(bw_store_open(folder, &err));
    assert_string_equal(err.code, "store.foreign");
    change_file("INSERT INTO theirs VALUES(2)");
}

static void test_a_file_that_is_no_database_is_an_error(void **state)
{
    struct bw_error err = {0};
    (void)state;
    FILE *file = fopen(in_folder("bellwire.db"), "w");
    for (int i = 0; i < 1000; i++) fputs("not a database ", file);
    fclose(file);
    assert_null(bw_store_open(folder, &err));
    assert_string_equal(err.code, "store.failed");
}

static const char first[] = "CREATE TABLE a(x INTEGER); INSERT INTO a VALUES(1);";
static const char second[] = "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;";
static const char broken[] = "UPDATE a SET y = 5; CREATE TABLE a(x);";
#define FILE_OF(name, text)          \
    {                                \
        name, text, sizeof(text) - 1 \
    }

static void test_an_old_file_is_migrated(void **state)
{
    const struct bw_embedded one[] = {FILE_OF("001_first", first), {0}};
    const struct bw_embedded two[] = {FILE_OF("001_first", first), FILE_OF("002_second", second), FILE_OF("write", "nonsense"), {0}};
    struct bw_error err = {0};
    int64_t value;
    (void)state;
    sqlite3 *db = bw_database_open_writer(folder, &err);
    assert_no_error(db, err);
    assert_no_error(bw_migrate(db, one, &err), err);
    assert_no_error(bw_migrate_check(db, one, &err), err);
    assert_false(bw_migrate_check(db, two, &err));
    assert_string_equal(err.code, "store.older");
    assert_no_error(bw_migrate(db, two, &err), err);
    assert_no_error(bw_migrate_check(db, two, &err), err);
    assert_no_error(bw_sql_integer(db, "SELECT y FROM a", &value, &err), err);
    assert_int_equal(value, 2);
    assert_no_error(bw_migrate(db, two, &err), err); /* nothing left to do */
    bw_database_close(db, true);
}

static void test_a_failed_migration_changes_nothing(void **state)
{
    const struct bw_embedded one[] = {FILE_OF("001_first", first), {0}};
    const struct bw_embedded three[] = {FILE_OF("001_first", first), FILE_OF("002_second", second), FILE_OF("003_broken", broken), {0}};
    const struct bw_embedded gap[] = {FILE_OF("001_first", first), FILE_OF("003_third", second), {0}};
    struct bw_error err = {0};
    (void)state;
    sqlite3 *db = bw_database_open_writer(folder, &err);
    assert_no_error(db, err);
    assert_no_error(bw_migrate(db, one, &err), err);
    assert_false(bw_migrate(db, three, &err));
    assert_no_error(bw_migrate_check(db, one, &err), err);
    assert_false(bw_migrate(db, gap, &err));
    assert_string_equal(err.code, "store.migration");
    assert_no_error(bw_migrate_check(db, one, &err), err);
    int64_t columns;
    assert_no_error(bw_sql_integer(db, "SELECT count(*) FROM pragma_table_info('a')", &columns, &err), err);
    assert_int_equal(columns, 1);
    bw_database_close(db, true);
}

static void test_the_promise_of_a_commit_is_switched_on(void **state)
{
    struct bw_error err = {0};
    int64_t value;
    (void)state;
    sqlite3 *db = bw_database_open_writer(folder, &err);
    assert_no_error(db, err);
    assert_no_error(bw_sql_integer(db, "PRAGMA synchronous", &value, &err), err);
    assert_int_equal(value, 2); /* FULL */
    assert_no_error(bw_sql_integer(db, "PRAGMA secure_delete", &value, &err), err);
    assert_int_equal(value, 0);
    assert_no_error(bw_sql_integer(db, "PRAGMA wal_autocheckpoint", &value, &err), err);
    assert_int_equal(value, 0);
    assert_no_error(bw_sql_exec(db, "CREATE TABLE t(x)", &err), err);
    assert_no_error(bw_sql_integer(db, "PRAGMA auto_vacuum", &value, &err), err);
    assert_int_equal(value, 2); /* INCREMENTAL */
    sqlite3_stmt *mode;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &mode, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(mode), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(mode, 0), "wal");
    sqlite3_finalize(mode);
    bw_database_close(db, true);
}

static void test_a_reader_cannot_write(void **state)
{
    struct bw_error err = {0};
    (void)state;
    bw_store_close(open_store());
    sqlite3 *db = bw_database_open_reader(folder, &err);
    assert_no_error(db, err);
    assert_false(bw_sql_exec(db, "DELETE FROM events", &err));
    bw_database_close(db, false);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_a_second_writer_is_told_who_holds_the_folder),
        WITH_FOLDER(test_readers_need_a_store),
        cmocka_unit_test(test_a_folder_that_cannot_be_made_is_an_error),
        WITH_FOLDER(test_only_the_owner_may_read_what_is_stored),
        WITH_FOLDER(test_a_newer_store_is_refused_and_both_versions_named),
        WITH_FOLDER(test_another_programs_database_is_not_touched),
        WITH_FOLDER(test_a_file_that_is_no_database_is_an_error),
        WITH_FOLDER(test_an_old_file_is_migrated),
        WITH_FOLDER(test_a_failed_migration_changes_nothing),
        WITH_FOLDER(test_the_promise_of_a_commit_is_switched_on),
        WITH_FOLDER(test_a_reader_cannot_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
