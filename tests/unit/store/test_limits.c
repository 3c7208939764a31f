/* What named limits are owed outlives the process. */
#include "fixture.h"

static void store_limits(struct bw_store *store, int64_t now_ms, const struct bw_limit_row *rows, size_t count)
{
    struct bw_store_op op = {.kind = BW_OP_LIMITS, .limits = rows, .limit_count = count, .now_ms = now_ms};
    struct bw_error err;
    assert_no_error(bw_store_submit_wait(store, &op, &err), err);
}

struct seen {
    char text[400];
};
static bool see(void *arg, const struct bw_limit_row *row)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->text);
    snprintf(seen->text + len, sizeof seen->text - len, "%.*s:%.*s:%lld:%lld ", (int)row->name.len, row->name.ptr, (int)row->key.len, row->key.ptr,
             (long long)row->free_ms, (long long)row->paused_ms);
    return true;
}

static void assert_stored(const char *expected)
{
    struct seen seen = {{0}};
    struct bw_error err;
    struct bw_reader *reader = bw_reader_open(folder, &err);
    assert_no_error(reader, err);
    assert_no_error(bw_reader_limits(reader, see, &seen, &err), err);
    assert_string_equal(seen.text, expected);
    bw_reader_close(reader);
}

static void test_the_newest_debt_of_each_key_is_kept(void **state)
{
    (void)state;
    struct bw_error err;
    struct bw_store *store = bw_store_open(folder, &err);
    assert_no_error(store, err);
    const struct bw_limit_row first[] = {{BW_SLICE("llm"), BW_SLICE(""), 100, 0}, {BW_SLICE("llm"), BW_SLICE("a"), 200, 300}};
    const struct bw_limit_row second[] = {{BW_SLICE("llm"), BW_SLICE("a"), 150, 0}, {BW_SLICE("crm"), BW_SLICE(""), 0, 400}};
    store_limits(store, 0, first, 2);
    store_limits(store, 0, second, 2);
    assert_stored("crm::0:400 llm::100:0 llm:a:150:0 ");
    bw_store_close(store);
    store = bw_store_open(folder, &err);
    assert_no_error(store, err);
    assert_stored("crm::0:400 llm::100:0 llm:a:150:0 ");
    bw_store_close(store);
}

static void test_what_is_over_goes_and_what_is_paused_stays(void **state)
{
    (void)state;
    struct bw_error err;
    struct bw_store *store = bw_store_open(folder, &err);
    assert_no_error(store, err);
    const struct bw_limit_row rows[] = {
        {BW_SLICE("a"), BW_SLICE(""), 100, 0}, {BW_SLICE("b"), BW_SLICE(""), 101, 0}, {BW_SLICE("c"), BW_SLICE(""), 0, 101}};
    store_limits(store, 100, rows, 3);
    assert_stored("b::101:0 c::0:101 ");
    store_limits(store, 101, NULL, 0);
    assert_stored("");
    bw_store_close(store);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {WITH_FOLDER(test_the_newest_debt_of_each_key_is_kept),
                                       WITH_FOLDER(test_what_is_over_goes_and_what_is_paused_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
