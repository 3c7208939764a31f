/* The dedupe rules on a writer without its thread, so that a generation can be small and every transaction is the test's own. */
#include "fixture.h"
#include "store/writer.h"

enum { GENERATION = 256 }; /* four pages */
static struct bw_writer writer;

static void open_writer(void)
{
    struct bw_error err = {0};
    writer = (struct bw_writer){.reserve = -1, .dedupe.generation = GENERATION};
    assert_no_error(bw_writer_open(&writer, folder, &err), err);
}

static void reopen_writer(void)
{
    bw_writer_close(&writer, true);
    open_writer();
}

static int setup(void **state)
{
    if (make_folder(state)) return -1;
    open_writer();
    return 0;
}

static int teardown(void **state)
{
    bw_writer_close(&writer, true);
    return remove_folder(state);
}

static void commit(struct bw_store_op *first)
{
    struct bw_store_op *culprit;
    struct bw_error err = {0};
    assert_no_error(bw_writer_commit(&writer, first, &culprit, &err), err);
}

static uint32_t next_number;
static struct bw_store_op op_at(const char *key, int64_t at_ms, int64_t expire_ms)
{
    struct bw_store_op op = accept_op(next_number++, key);
    op.event.at_ms = at_ms;
    op.event.dedupe_expire_ms = expire_ms;
    return op;
}

static bool is_duplicate_at(const char *key, int64_t at_ms)
{
    struct bw_store_op op = op_at(key, at_ms, at_ms + 1000000);
    commit(&op);
    return op.is_duplicate;
}

/* `count` events with keys PREFIX0 …, in transactions of `group`. */
static void accept_many(const char *prefix, int count, int group, int64_t at_ms, int64_t expire_ms)
{
    struct bw_store_op ops[16];
    char keys[16][32];
    for (int i = 0; i < count; i += group) {
        for (int k = 0; k < group; k++) {
            snprintf(keys[k], sizeof keys[k], "%s%d", prefix, i + k);
            ops[k] = op_at(keys[k], at_ms, expire_ms);
            ops[k].next = k + 1 < group ? &ops[k + 1] : NULL;
        }
        commit(&ops[0]);
        for (int k = 0; k < group; k++) assert_false(ops[k].is_duplicate);
    }
}

static void assert_all_known(const char *prefix, int count, int64_t at_ms)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%s%d", prefix, i);
        if (!is_duplicate_at(key, at_ms)) fail_msg("%s rang twice", key);
    }
}

static int64_t count_rows(const char *sql)
{
    int64_t count;
    struct bw_error err = {0};
    assert_no_error(bw_sql_integer(writer.db, sql, &count, &err), err);
    return count;
}

static int64_t keys_on_disk(void)
{
    return count_rows("SELECT total(length(entries)) / 32 FROM dedupe_pages");
}

static void test_the_second_ring_names_the_first_event(void **state)
{
    struct bw_store_op first = op_at("k", 1000, 9000), second = op_at("k", 1001, 9001), other = op_at("K", 1002, 9002);
    (void)state;
    commit(&first);
    commit(&second);
    commit(&other);
    assert_false(first.is_duplicate);
    assert_true(second.is_duplicate);
    assert_true(bw_uid_equal(second.duplicate_of, first.event.uid));
    assert_false(other.is_duplicate);
    assert_int_equal(count_rows("SELECT count(*) FROM events"), 2);
    assert_int_equal(count_rows("SELECT count(*) FROM deliveries"), 3);
    assert_int_equal(count_rows("SELECT count(*) FROM deliveries WHERE outcome = 1 AND status = 200"), 1);
}

static void test_a_duplicate_in_the_same_group_is_seen(void **state)
{
    struct bw_store_op first = op_at("k", 1000, 9000), second = op_at("k", 1000, 9000);
    (void)state;
    first.next = &second;
    commit(&first);
    assert_true(second.is_duplicate);
    assert_true(bw_uid_equal(second.duplicate_of, first.event.uid));
}

static void test_the_same_key_of_another_source_is_another_key(void **state)
{
    struct bw_store_op first = op_at("k", 1000, 9000), second = op_at("k", 1000, 9000), joined = op_at("bk", 1000, 9000);
    (void)state;
    first.event.source = BW_SLICE("ab");
    second.event.source = BW_SLICE("a");
    joined.event.source = BW_SLICE("a");
    commit(&first);
    commit(&second);
    commit(&joined);
    assert_false(second.is_duplicate);
    assert_false(joined.is_duplicate);
}

static void test_events_without_a_key_are_never_duplicates(void **state)
{
    (void)state;
    assert_false(is_duplicate_at("", 1000));
    assert_false(is_duplicate_at("", 1000));
}

static void test_an_expired_key_counts_no_more(void **state)
{
    struct bw_store_op first = op_at("k", 1000, 2000);
    (void)state;
    commit(&first);
    assert_true(is_duplicate_at("k", 1999));
    assert_false(is_duplicate_at("k", 2000)); /* and is a key again from here */
    assert_true(is_duplicate_at("k", 2001));
}

static void test_keys_are_known_after_reopening(void **state)
{
    (void)state;
    accept_many("k", 48, 8, 1000, 9000);
    reopen_writer();
    assert_all_known("k", 48, 1001);
}

static void test_keys_are_known_at_every_moment_of_a_merge(void **state)
{
    (void)state;
    accept_many("k", GENERATION, 8, 1000, 9000000);
    assert_true(bw_dedupe_has_work(&writer.dedupe));
    for (int i = 0; bw_dedupe_has_work(&writer.dedupe); i++) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "more%d-", i);
        assert_all_known("k", GENERATION, 1001);
        accept_many(prefix, 8, 4, 1000, 9000000);
        assert_true(i < 100);
    }
    assert_true(keys_on_disk() >= GENERATION);
    assert_all_known("k", GENERATION, 1001);
    reopen_writer();
    assert_all_known("k", GENERATION, 1001);
    assert_all_known("more0-", 8, 1001);
}

static void test_keys_are_known_after_reopening_in_the_middle_of_a_merge(void **state)
{
    (void)state;
    accept_many("k", GENERATION, 16, 1000, 9000000);
    accept_many("m", 16, 16, 1000, 9000000); /* merges a slice of k */
    assert_true(bw_dedupe_has_work(&writer.dedupe));
    assert_in_range(keys_on_disk(), 1, GENERATION - 1);
    reopen_writer();
    assert_all_known("k", GENERATION, 1001);
    assert_all_known("m", 16, 1001);
}

static void test_many_generations_end_in_the_table(void **state)
{
    (void)state;
    accept_many("k", 12 * GENERATION, 16, 1000, 9000000);
    assert_true(keys_on_disk() >= 8 * GENERATION);
    assert_in_range(writer.dedupe.recent.count, 0, 2 * GENERATION);
    assert_in_range(writer.dedupe.generations.count, 8, 12);
    assert_all_known("k", 12 * GENERATION, 1001);
}

static void test_a_key_that_expired_in_the_table_is_taken_anew(void **state)
{
    struct bw_store_op first = op_at("k", 1000, 2000);
    (void)state;
    commit(&first);
    accept_many("m", 3 * GENERATION, 16, 1000, 9000000);
    assert_false(is_duplicate_at("k", 2000));
    accept_many("n", 3 * GENERATION, 16, 2001, 9000000);
    assert_true(is_duplicate_at("k", 2002));
    reopen_writer();
    assert_true(is_duplicate_at("k", 2003));
}

static void test_expired_keys_leave_the_table(void **state)
{
    const int64_t hour_ms = 3600 * 1000;
    (void)state;
    accept_many("old", 4 * GENERATION, 16, hour_ms, 2 * hour_ms);
    assert_true(writer.dedupe.generations.count >= 2);
    accept_many("new", 6 * GENERATION, 16, 3 * hour_ms, 9 * hour_ms);
    assert_int_equal(count_rows("SELECT count(*) FROM dedupe_generations WHERE expire_ms <= 7200000"), 0);
    assert_true(keys_on_disk() <= 6 * GENERATION);
    assert_all_known("new", 6 * GENERATION, 3 * hour_ms);
}

static void test_a_rolled_back_group_leaves_no_key_behind(void **state)
{
    struct bw_store_op there = op_at("there", 1000, 2000), *culprit;
    struct bw_error err = {0};
    (void)state;
    accept_many("k", GENERATION - 1, 1, 1000, 9000000);
    commit(&there); /* the generation is full: merging has begun */
    assert_true(bw_dedupe_has_work(&writer.dedupe));
    struct bw_store_op fresh = op_at("fresh", 3000, 9000), again = op_at("there", 3000, 9000), bad = op_at("bad", 3000, 9000);
    bad.event.uid = there.event.uid;
    fresh.next = &again;
    again.next = &bad;
    assert_false(bw_writer_commit(&writer, &fresh, &culprit, &err));
    assert_ptr_equal(culprit, &bad);
    assert_string_equal(err.code, "store.refused");
    assert_true(is_duplicate_at("there", 1999)); /* what the group had replaced is back */
    assert_false(is_duplicate_at("fresh", 3000));
    assert_false(is_duplicate_at("bad", 3000));
    assert_all_known("k", GENERATION - 1, 1001);
    reopen_writer();
    assert_true(is_duplicate_at("fresh", 3001));
}

#define WITH_WRITER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITER(test_the_second_ring_names_the_first_event),
        WITH_WRITER(test_a_duplicate_in_the_same_group_is_seen),
        WITH_WRITER(test_the_same_key_of_another_source_is_another_key),
        WITH_WRITER(test_events_without_a_key_are_never_duplicates),
        WITH_WRITER(test_an_expired_key_counts_no_more),
        WITH_WRITER(test_keys_are_known_after_reopening),
        WITH_WRITER(test_keys_are_known_at_every_moment_of_a_merge),
        WITH_WRITER(test_keys_are_known_after_reopening_in_the_middle_of_a_merge),
        WITH_WRITER(test_many_generations_end_in_the_table),
        WITH_WRITER(test_a_key_that_expired_in_the_table_is_taken_anew),
        WITH_WRITER(test_expired_keys_leave_the_table),
        WITH_WRITER(test_a_rolled_back_group_leaves_no_key_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
