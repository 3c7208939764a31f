/* What the store does when the disk fails: SQLite's file methods are wrapped so that writes or syncs fail on demand. */
#include "fixture.h"
#include "store/writer.h"
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum fault { FAULT_NONE, FAULT_WRITE_FULL, FAULT_WRITE_IO, FAULT_SYNC_IO };
static _Atomic enum fault fault;
static atomic_int writes, syncs;

/* The unix VFS has one table of methods for the database and another for its log. `failing` comes first: a file's pMethods leads here. */
struct methods {
    sqlite3_io_methods failing;
    const sqlite3_io_methods *real;
};
static struct methods tables[4];
static sqlite3_vfs *real_vfs, failing_vfs;

static const sqlite3_io_methods *real_of(const sqlite3_file *file)
{
    return ((const struct methods *)file->pMethods)->real;
}

static int failing_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    atomic_fetch_add(&writes, 1);
    if (fault == FAULT_WRITE_FULL) return SQLITE_FULL;
    if (fault == FAULT_WRITE_IO) return SQLITE_IOERR_WRITE;
    return real_of(file)->xWrite(file, bytes, len, offset);
}

static int failing_sync(sqlite3_file *file, int flags)
{
    atomic_fetch_add(&syncs, 1);
    if (fault == FAULT_SYNC_IO) return SQLITE_IOERR_FSYNC;
    return real_of(file)->xSync(file, flags);
}

/* The file stays the unix VFS's own; only its table of methods is another one. */
static int failing_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    (void)vfs;
    int rc = real_vfs->xOpen(real_vfs, name, file, flags, out_flags);
    if (rc != SQLITE_OK || !file->pMethods) return rc;
    size_t i = 0;
    while (tables[i].real && tables[i].real != file->pMethods) i++;
    assert_true(i < sizeof tables / sizeof *tables - 1);
    if (!tables[i].real) tables[i] = (struct methods){*file->pMethods, file->pMethods};
    tables[i].failing.xWrite = failing_write;
    tables[i].failing.xSync = failing_sync;
    file->pMethods = &tables[i].failing;
    return rc;
}

static int install(void **state)
{
    (void)state;
    real_vfs = sqlite3_vfs_find(NULL);
    failing_vfs = *real_vfs;
    failing_vfs.zName = "failing";
    failing_vfs.xOpen = failing_open;
    return sqlite3_vfs_register(&failing_vfs, 1);
}

static int setup(void **state)
{
    fault = FAULT_NONE;
    return make_folder(state);
}

static int teardown(void **state)
{
    fault = FAULT_NONE;
    return remove_folder(state);
}

static void assert_fails(struct bw_store *store, struct bw_store_op *op, const char *code)
{
    struct bw_error err = {0};
    assert_false(bw_store_submit_wait(store, op, &err));
    assert_string_equal(err.code, code);
}

static uint64_t count_pending(void)
{
    struct bw_reader *reader = open_reader();
    struct bw_error err = {0};
    uint64_t count = 0;
    assert_no_error(bw_reader_pending_count(reader, &count, &err), err);
    bw_reader_close(reader);
    return count;
}

static void test_a_full_disk_fails_what_comes_and_nothing_after_it(void **state)
{
    struct bw_store *store = open_store();
    struct bw_store_op first = accept_op(1, "a"), second = accept_op(2, "b"), third = accept_op(3, "c"), again = accept_op(4, "b");
    (void)state;
    submit(store, &first);
    fault = FAULT_WRITE_FULL;
    assert_fails(store, &second, "store.full");
    assert_fails(store, &third, "store.full");
    assert_false(bw_store_is_failed(store));
    fault = FAULT_NONE;
    submit(store, &again);
    assert_false(again.is_duplicate); /* the key of an event that was not stored is free */
    assert_int_equal(count_pending(), 2);
    bw_store_close(store);
    bw_store_close(open_store());
    assert_int_equal(count_pending(), 2);
}

static int64_t size_of(const char *name)
{
    struct stat info;
    return stat(in_folder(name), &info) == 0 ? (int64_t)info.st_size : -1;
}

static void test_a_full_disk_gives_back_the_reserve_and_shortens_the_log(void **state)
{
    struct bw_writer writer = {.reserve = -1};
    struct bw_store_op ops[] = {accept_op(1, ""), accept_op(2, ""), accept_op(3, "")}, *culprit;
    struct bw_error err = {0};
    int again_ms;
    (void)state;
    assert_no_error(bw_writer_open(&writer, folder, &err), err);
    assert_no_error(bw_writer_commit(&writer, &ops[0], &culprit, &err), err);
    assert_no_error(bw_writer_idle(&writer, &again_ms, &err), err);
    assert_int_equal(size_of("reserve"), 4 * 1024 * 1024);
    fault = FAULT_WRITE_FULL;
    assert_false(bw_writer_commit(&writer, &ops[1], &culprit, &err));
    assert_string_equal(err.code, "store.full");
    assert_no_error(bw_writer_relieve(&writer, &err), err); /* the checkpoint finds the disk full as well: no reason to fail */
    assert_int_equal(size_of("reserve"), 0);
    fault = FAULT_NONE;
    int64_t log_bytes = size_of("bellwire.db-wal");
    assert_no_error(bw_writer_relieve(&writer, &err), err);
    assert_no_error(bw_writer_commit(&writer, &ops[2], &culprit, &err), err);
    assert_int_equal(size_of("bellwire.db-wal"), log_bytes); /* begun anew, not grown */
    bw_writer_close(&writer, true);
    assert_int_equal(count_pending(), 2);
}

static void fail_store_by(enum fault what)
{
    struct bw_store *store = open_store();
    struct bw_store_op first = accept_op(1, "a"), second = accept_op(2, "b"), third = accept_op(3, "c");
    submit(store, &first);
    fault = what;
    assert_fails(store, &second, "store.failed");
    assert_true(bw_store_is_failed(store));
    fault = FAULT_NONE; /* the disk seems well again: no matter */
    int writes_before = writes, syncs_before = syncs;
    assert_fails(store, &third, "store.failed");
    bw_store_close(store);
    assert_int_equal(writes, writes_before);
    assert_int_equal(syncs, syncs_before); /* an fsync is never retried */
    store = open_store();
    assert_in_range(count_pending(), 1, 2); /* what was not acknowledged may be there or not, what was must */
    struct bw_store_op again = accept_op(4, "a");
    submit(store, &again);
    assert_true(again.is_duplicate);
    bw_store_close(store);
}

static void test_a_failed_sync_ends_the_store(void **state)
{
    (void)state;
    fail_store_by(FAULT_SYNC_IO);
}

static void test_a_failed_write_ends_the_store(void **state)
{
    (void)state;
    fail_store_by(FAULT_WRITE_IO);
}

static int syncs_at_done;
static void note_syncs(struct bw_store_op *op)
{
    (void)op;
    syncs_at_done = syncs;
}

static void test_done_comes_after_the_sync(void **state)
{
    struct bw_store *store = open_store();
    (void)state;
    for (uint32_t i = 0; i < 10; i++) {
        struct bw_store_op op = accept_op(i, ""), barrier = {.kind = BW_OP_DELIVERY};
        int before = syncs;
        op.done = note_syncs;
        bw_store_submit(store, &op);
        submit(store, &barrier);
        assert_true(syncs_at_done > before);
    }
    bw_store_close(store);
}

static void commit_large(struct bw_writer *writer, uint32_t number)
{
    static char body[1024 * 1024];
    struct bw_store_op op = accept_op(number, ""), *culprit;
    struct bw_error err = {0};
    op.event.body = (struct bw_slice){body, sizeof body};
    assert_no_error(bw_writer_commit(writer, &op, &culprit, &err), err);
}

static void test_a_reader_in_the_way_costs_no_checkpoint_with_each_commit(void **state)
{
    struct bw_writer writer = {.reserve = -1};
    struct bw_error err = {0};
    sqlite3 *reader;
    (void)state;
    assert_no_error(bw_writer_open(&writer, folder, &err), err);
    commit_large(&writer, 1);
    assert_int_equal(sqlite3_open_v2(in_folder("bellwire.db"), &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM events", NULL, NULL, NULL), SQLITE_OK); /* holds the log from here */
    for (uint32_t i = 2; i < 8; i++) commit_large(&writer, i);
    int before = syncs;
    assert_no_error(bw_writer_checkpoint_if_due(&writer, false, &err), err);
    assert_true(syncs > before); /* it was due, and copied what the reader leaves free */
    before = syncs;
    commit_large(&writer, 8);
    assert_no_error(bw_writer_checkpoint_if_due(&writer, false, &err), err);
    assert_int_equal(syncs, before + 1); /* the commit's own */
    sqlite3_close(reader);
    for (uint32_t i = 9; i < 13; i++) commit_large(&writer, i);
    assert_no_error(bw_writer_checkpoint_if_due(&writer, false, &err), err);
    int64_t log_bytes = size_of("bellwire.db-wal");
    commit_large(&writer, 14);
    assert_int_equal(size_of("bellwire.db-wal"), log_bytes); /* with the reader gone the log begins anew */
    bw_writer_close(&writer, true);
}

static bool note_damage(void *arg, const struct bw_event *event)
{
    *(bool *)arg = event->is_damaged;
    return true;
}

static void test_a_body_that_rotted_is_noticed(void **state)
{
    struct bw_store *store = open_store();
    struct bw_store_op op = accept_op(1, "");
    struct bw_error err = {0};
    bool is_damaged = false, found;
    sqlite3 *db;
    (void)state;
    submit(store, &op);
    bw_store_close(store);
    assert_int_equal(sqlite3_open(in_folder("bellwire.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE bodies SET body = CAST(replace(body, 'main', 'mbin') AS BLOB)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    struct bw_reader *reader = open_reader();
    assert_no_error(bw_reader_event(reader, uid_of(1), note_damage, &is_damaged, &found, &err), err);
    assert_true(found);
    assert_true(is_damaged);
    bw_reader_close(reader);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_a_full_disk_fails_what_comes_and_nothing_after_it),
        WITH_FOLDER(test_a_full_disk_gives_back_the_reserve_and_shortens_the_log),
        WITH_FOLDER(test_a_failed_sync_ends_the_store),
        WITH_FOLDER(test_a_failed_write_ends_the_store),
        WITH_FOLDER(test_done_comes_after_the_sync),
        WITH_FOLDER(test_a_reader_in_the_way_costs_no_checkpoint_with_each_commit),
        WITH_FOLDER(test_a_body_that_rotted_is_noticed),
    };
    return cmocka_run_group_tests(tests, install, NULL);
}
