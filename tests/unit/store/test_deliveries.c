#include "fixture.h"
#include "store/writer.h"

static struct bw_writer writer;

static int setup(void **state)
{
    struct bw_error err = {0};
    if (make_folder(state)) return -1;
    writer = (struct bw_writer){.reserve = -1, .deliveries.refused_kept = 1000};
    return bw_writer_open(&writer, folder, &err) ? 0 : -1;
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

static void refuse_many(const char *source, int64_t at_ms, enum bw_outcome outcome, int count, int group)
{
    struct bw_store_op ops[64];
    for (int i = 0; i < count; i += group) {
        int n = count - i < group ? count - i : group;
        for (int k = 0; k < n; k++) {
            ops[k] = refused_op(source, at_ms, outcome);
            ops[k].next = k + 1 < n ? &ops[k + 1] : NULL;
        }
        commit(&ops[0]);
    }
}

static int64_t number(const char *sql)
{
    int64_t value;
    struct bw_error err = {0};
    assert_no_error(bw_sql_integer(writer.db, sql, &value, &err), err);
    return value;
}

static void test_above_100_a_second_repeats_are_counted_not_stored(void **state)
{
    (void)state;
    refuse_many("a", 5000, BW_OUTCOME_UNVERIFIED, 350, 50);
    assert_int_equal(number("SELECT count(*) FROM deliveries"), 100);
    assert_int_equal(number("SELECT sum(times) FROM deliveries"), 350);
    assert_int_equal(number("SELECT times FROM deliveries ORDER BY id DESC LIMIT 1"), 251);
    refuse_many("a", 6000, BW_OUTCOME_UNVERIFIED, 3, 1); /* the next second begins anew */
    assert_int_equal(number("SELECT count(*) FROM deliveries"), 103);
}

static void test_the_cap_is_per_source(void **state)
{
    (void)state;
    refuse_many("a", 5000, BW_OUTCOME_UNVERIFIED, 200, 64);
    refuse_many("b", 5000, BW_OUTCOME_UNVERIFIED, 50, 64);
    refuse_many("", 5000, BW_OUTCOME_UNKNOWN_PATH, 50, 64);
    assert_int_equal(number("SELECT count(*) FROM deliveries"), 200);
    assert_int_equal(number("SELECT sum(times) FROM deliveries"), 300);
}

static void test_each_outcome_is_counted_on_its_own_row(void **state)
{
    (void)state;
    refuse_many("a", 5000, BW_OUTCOME_UNVERIFIED, 150, 64);
    refuse_many("a", 5000, BW_OUTCOME_MALFORMED, 20, 64);
    assert_int_equal(number("SELECT sum(times) FROM deliveries WHERE outcome = 10"), 150);
    assert_int_equal(number("SELECT count(*) FROM deliveries WHERE outcome = 11"), 1);
    assert_int_equal(number("SELECT times FROM deliveries WHERE outcome = 11"), 20);
}

static void test_a_group_over_two_seconds_counts_each(void **state)
{
    struct bw_store_op ops[400];
    (void)state;
    for (int i = 0; i < 400; i++) {
        ops[i] = refused_op("a", i < 250 ? 5999 : 6000, BW_OUTCOME_UNVERIFIED);
        ops[i].next = i + 1 < 400 ? &ops[i + 1] : NULL;
    }
    commit(&ops[0]);
    assert_int_equal(number("SELECT sum(times) FROM deliveries WHERE at_ms = 5999"), 250);
    assert_int_equal(number("SELECT sum(times) FROM deliveries WHERE at_ms = 6000"), 150);
    assert_int_equal(number("SELECT count(*) FROM deliveries"), 200);
}

static void test_counts_of_a_rolled_back_group_are_not_kept(void **state)
{
    struct bw_store_op first = accept_op(1, ""), refused[3], bad = accept_op(1, ""), *culprit;
    struct bw_error err = {0};
    (void)state;
    commit(&first);
    refuse_many("a", 5000, BW_OUTCOME_UNVERIFIED, 120, 64);
    for (int i = 0; i < 3; i++) {
        refused[i] = refused_op("a", 5000, BW_OUTCOME_UNVERIFIED);
        refused[i].next = i < 2 ? &refused[i + 1] : &bad;
    }
    assert_false(bw_writer_commit(&writer, &refused[0], &culprit, &err));
    assert_int_equal(number("SELECT sum(times) FROM deliveries WHERE outcome = 10"), 120);
    for (int i = 0; i < 3; i++) {
        refused[i].next = NULL;
        commit(&refused[i]);
    }
    assert_int_equal(number("SELECT sum(times) FROM deliveries WHERE outcome = 10"), 123);
}

static void test_refused_rows_of_a_source_are_bounded(void **state)
{
    (void)state;
    for (int second = 0; second < 40; second++) refuse_many("a", 1000 * second, BW_OUTCOME_UNVERIFIED, 100, 50);
    refuse_many("b", 5000, BW_OUTCOME_UNVERIFIED, 30, 10);
    assert_in_range(number("SELECT count(*) FROM deliveries WHERE source = 'a'"), 1000, 1499);
    assert_int_equal(number("SELECT max(at_ms) FROM deliveries WHERE source = 'a'"), 39000); /* the oldest go */
    assert_int_equal(number("SELECT count(*) FROM deliveries WHERE source = 'b'"), 30);
    struct bw_store_op first = accept_op(1, "");
    commit(&first);
    bw_writer_close(&writer, true);
    struct bw_error err = {0};
    writer = (struct bw_writer){.reserve = -1, .deliveries.refused_kept = 1000};
    assert_no_error(bw_writer_open(&writer, folder, &err), err);
    for (int second = 40; second < 60; second++) refuse_many("a", 1000 * second, BW_OUTCOME_UNVERIFIED, 100, 50); /* counted on after reopening */
    assert_in_range(number("SELECT count(*) FROM deliveries WHERE source = 'a'"), 1000, 1499);
    assert_int_equal(number("SELECT count(*) FROM events"), 1);
}

struct seen {
    int count;
    int64_t last_id;
    struct bw_uid event;
};
static bool see(void *arg, const struct bw_delivery_row *row)
{
    struct seen *seen = arg;
    seen->count++;
    seen->last_id = row->id;
    seen->event = row->event;
    if (row->delivery.outcome == BW_OUTCOME_UNVERIFIED) {
        assert_int_equal(row->delivery.status, 401);
        assert_slice(row->delivery.detail, "signature mismatch");
        assert_true(bw_uid_is_zero(row->event));
    } else {
        assert_int_equal(row->delivery.at_ms, 1000);
        assert_slice(row->delivery.provider_id, "d-1");
        assert_int_equal(row->delivery.bytes, 25);
    }
    return true;
}

static void test_deliveries_are_read_by_source_and_outcome(void **state)
{
    struct bw_store_op op = accept_op(1, "");
    struct bw_error err = {0};
    (void)state;
    refuse_many("github", 5000, BW_OUTCOME_UNVERIFIED, 4, 4);
    refuse_many("b", 5000, BW_OUTCOME_UNVERIFIED, 3, 3);
    commit(&op);
    struct bw_reader *reader = open_reader();
    const struct {
        const char *source;
        bool only_refused;
        int count;
    } cases[] = {{"", false, 8}, {"", true, 7}, {"github", false, 5}, {"github", true, 4}, {"b", true, 3}, {"c", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen seen = {0}, page = {0};
        struct bw_slice source = bw_slice_of(cases[i].source);
        assert_no_error(bw_reader_deliveries(reader, source, cases[i].only_refused, 0, 100, see, &seen, &err), err);
        assert_int_equal(seen.count, cases[i].count);
        if (cases[i].count < 3) continue;
        assert_no_error(bw_reader_deliveries(reader, source, cases[i].only_refused, 0, 2, see, &page, &err), err);
        assert_no_error(bw_reader_deliveries(reader, source, cases[i].only_refused, page.last_id, 100, see, &page, &err), err);
        assert_int_equal(page.count, cases[i].count); /* no row twice, none left out */
    }
    struct seen newest = {0};
    assert_no_error(bw_reader_deliveries(reader, BW_SLICE("github"), false, 0, 1, see, &newest, &err), err);
    assert_true(bw_uid_equal(newest.event, uid_of(1)));
    bw_reader_close(reader);
}

#define WITH_WRITER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITER(test_above_100_a_second_repeats_are_counted_not_stored),
        WITH_WRITER(test_the_cap_is_per_source),
        WITH_WRITER(test_each_outcome_is_counted_on_its_own_row),
        WITH_WRITER(test_a_group_over_two_seconds_counts_each),
        WITH_WRITER(test_counts_of_a_rolled_back_group_are_not_kept),
        WITH_WRITER(test_refused_rows_of_a_source_are_bounded),
        WITH_WRITER(test_deliveries_are_read_by_source_and_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
