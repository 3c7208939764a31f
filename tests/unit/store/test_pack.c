/* Packed bodies: what comes out is what went in; what is damaged or lies about its size comes out as damaged, and takes no memory. */
#include "base/log.h"
#include "fixture.h"
#include "store/checksum.h"
#include "store/database.h"
#include "store/migrate.h"
#include "store/pack.h"

#define MIB (1024 * 1024)
static char *bytes;

static struct bw_slice text_of(size_t len) /* as JSON does, it repeats itself */
{
    for (size_t i = 0; i < len; i++) bytes[i] = "{\"id\":12345,\"url\":\"https://api.example.com/repos/octo\"},"[i % 56];
    for (size_t i = 0; i < len; i += 97) bytes[i] = (char)('0' + i / 97 % 10);
    return (struct bw_slice){bytes, len};
}

static struct bw_slice noise_of(size_t len)
{
    uint64_t state = 1;
    for (size_t i = 0; i < len; i++) bytes[i] = (char)((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
    return (struct bw_slice){bytes, len};
}

/* A copy of the packed bytes that the packer's next use leaves alone. */
static struct bw_slice pack(struct bw_packer *packer, struct bw_slice raw)
{
    struct bw_slice packed = bw_pack(packer, raw);
    char *copy = malloc(packed.len + 1);
    memcpy(copy, packed.ptr, packed.len);
    return (struct bw_slice){copy, packed.len};
}

static void test_what_comes_out_is_what_went_in(void **state)
{
    static const size_t sizes[] = {BW_PACK_FROM + 1, 6923, 70000, MIB, 300000, 5000, BW_UNPACK_MAX, BW_PACK_FROM + 1};
    struct bw_packer *packer = bw_packer_new();
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct bw_slice raw = text_of(sizes[i]), packed = pack(packer, raw), again;
        assert_in_range(packed.len, 1, raw.len / 4);
        assert_true(bw_unpack(packer, packed, (int64_t)raw.len, &again));
        assert_true(bw_slice_equal(again, raw));
        free((char *)packed.ptr);
    }
    bw_packer_free(packer);
}

static void test_what_is_small_or_does_not_shrink_stays_as_it_is(void **state)
{
    struct bw_packer *packer = bw_packer_new();
    (void)state;
    assert_int_equal(bw_pack(packer, text_of(BW_PACK_FROM)).len, 0);
    assert_int_equal(bw_pack(packer, noise_of(100000)).len, 0);
    noise_of(100000);
    memset(bytes, ' ', 9000); /* nine per cent */
    assert_int_equal(bw_pack(packer, (struct bw_slice){bytes, 100000}).len, 0);
    memset(bytes, ' ', 12000);
    assert_true(bw_pack(packer, (struct bw_slice){bytes, 100000}).len > 0);
    assert_int_equal(bw_pack(NULL, text_of(10000)).len, 0);
    bw_packer_free(packer);
}

static void test_a_size_that_is_not_the_frames_is_damage(void **state)
{
    struct bw_packer *packer = bw_packer_new();
    struct bw_slice raw = text_of(10000), packed = pack(packer, raw), again;
    static const int64_t sizes[] = {0, -1, 9999, 10001, BW_UNPACK_MAX, BW_UNPACK_MAX + 1, INT64_MAX, INT64_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) assert_false(bw_unpack(packer, packed, sizes[i], &again));
    assert_true(bw_unpack(packer, packed, 10000, &again));
    assert_false(bw_unpack(packer, (struct bw_slice){"", 0}, 10000, &again));
    assert_false(bw_unpack(packer, raw, 10000, &again)); /* no frame at all */
    free((char *)packed.ptr);
    bw_packer_free(packer);
}

static void test_any_changed_or_missing_byte_is_survived(void **state)
{
    struct bw_packer *packer = bw_packer_new();
    struct bw_slice packed = pack(packer, text_of(20000)), again;
    char *copy = (char *)packed.ptr;
    (void)state;
    for (size_t i = 0; i < packed.len; i++) {
        copy[i] ^= 0x55;
        if (bw_unpack(packer, packed, 20000, &again)) assert_int_equal(again.len, 20000); /* the checksum of the body tells */
        copy[i] ^= 0x55;
        assert_false(bw_unpack(packer, (struct bw_slice){copy, i}, 20000, &again));
    }
    assert_true(bw_unpack(packer, packed, 20000, &again));
    free(copy);
    bw_packer_free(packer);
}

/* ---- in the store ---- */

struct seen {
    size_t count, damaged;
    struct bw_slice wanted;
};

static bool look(void *arg, const struct bw_event *event)
{
    struct seen *seen = arg;
    seen->count++;
    seen->damaged += event->is_damaged;
    if (!event->is_damaged) assert_true(bw_slice_equal(event->body, seen->wanted));
    return true;
}

/* Every way to read event 1 sees this body, or damage. */
static void assert_read(struct bw_slice wanted, bool is_damaged)
{
    struct bw_reader *reader = open_reader();
    struct bw_error err = {0};
    struct seen seen = {.wanted = wanted};
    size_t count;
    bool found;
    assert_no_error(bw_reader_pending(reader, 0, 10, look, &seen, &count, &err), err);
    assert_no_error(bw_reader_events(reader, (struct bw_slice){0}, 0, 10, true, look, &seen, &err), err);
    assert_no_error(bw_reader_event(reader, uid_of(1), look, &seen, &found, &err), err);
    assert_no_error(bw_reader_event_by_id(reader, 1, true, look, &seen, &found, &err), err);
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.damaged, is_damaged ? 4 : 0);
    bw_reader_close(reader);
}

static void exec(const char *sql)
{
    struct bw_error err = {0};
    sqlite3 *db = bw_database_open_writer(folder, &err);
    assert_no_error(db, err);
    assert_no_error(bw_sql_exec(db, sql, &err), err);
    bw_database_close(db, true);
}

static struct bw_slice accept_packed(struct bw_packer *packer, size_t len)
{
    struct bw_store *store = open_store();
    struct bw_store_op op = accept_op(1, "");
    op.event.body = text_of(len);
    op.event.packed = bw_pack(packer, op.event.body);
    assert_true(op.event.packed.len > 0);
    submit(store, &op);
    bw_store_close(store);
    return op.event.body;
}

static void test_a_packed_body_is_read_as_it_came(void **state)
{
    struct bw_packer *packer = bw_packer_new();
    (void)state;
    struct bw_slice body = accept_packed(packer, 100000);
    assert_read(body, false);
    exec("UPDATE bodies SET body = x'00' WHERE enc <> 1 OR raw_bytes <> 100000 OR length(body) > 25000"); /* it is stored packed */
    assert_read(body, false);
    bw_packer_free(packer);
}

static void test_a_damaged_packed_body_is_said_to_be_damaged(void **state)
{
    static const char *const damages[] = {
        "UPDATE bodies SET raw_bytes = 99999", "UPDATE bodies SET raw_bytes = 9223372036854775807",
        "UPDATE bodies SET raw_bytes = NULL",  "UPDATE bodies SET body = substr(body, 1, 50)",
        "UPDATE bodies SET body = x''",        "UPDATE bodies SET enc = 0",
        "UPDATE bodies SET enc = 7",           "UPDATE bodies SET checksum = checksum + 1",
    };
    struct bw_packer *packer = bw_packer_new();
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct bw_slice body = accept_packed(packer, 100000);
        exec(damages[i]);
        assert_read(body, true);
        if (remove_folder(state) || make_folder(state)) fail();
    }
    bw_packer_free(packer);
}

/* Whoever migrates an older store finds its bodies as they were. */
static void test_bodies_from_before_packing_stay_readable(void **state)
{
    struct bw_embedded older[16] = {{0}};
    struct bw_error err = {0};
    struct bw_slice body = text_of(9000);
    (void)state;
    size_t count = 0;
    for (const struct bw_embedded *file = bw_embedded_sql; file->name; file++)
        if (strncmp(file->name, "008", 3) < 0) older[count++] = *file;
    sqlite3 *db = bw_database_open_writer(folder, &err);
    assert_no_error(bw_migrate(db, older, &err), err);
    bw_database_close(db, true);
    exec("INSERT INTO events(id, uid, at_ms, revision, trusted, source, name) VALUES(1, x'01000000000000000000000000000001', 1, 1, 1, 's', 's.e');"
         "INSERT INTO pending(event_id) VALUES(1)");
    db = bw_database_open_writer(folder, &err);
    sqlite3_stmt *insert;
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO bodies(event_id, checksum, body) VALUES(1, ?1, ?2)", -1, &insert, NULL), SQLITE_OK);
    sqlite3_bind_int64(insert, 1, bw_checksum(body));
    sqlite3_bind_blob(insert, 2, body.ptr, (int)body.len, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
    sqlite3_finalize(insert);
    bw_database_close(db, true);

    bw_store_close(open_store()); /* migrates */
    assert_read(body, false);
}

static int setup(void **state)
{
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    bytes = malloc(BW_UNPACK_MAX);
    return bytes ? make_folder(state) : -1;
}

static int teardown(void **state)
{
    free(bytes);
    return remove_folder(state);
}

#define WITH_BYTES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BYTES(test_what_comes_out_is_what_went_in),           WITH_BYTES(test_what_is_small_or_does_not_shrink_stays_as_it_is),
        WITH_BYTES(test_a_size_that_is_not_the_frames_is_damage),  WITH_BYTES(test_any_changed_or_missing_byte_is_survived),
        WITH_BYTES(test_a_packed_body_is_read_as_it_came),         WITH_BYTES(test_a_damaged_packed_body_is_said_to_be_damaged),
        WITH_BYTES(test_bodies_from_before_packing_stay_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
