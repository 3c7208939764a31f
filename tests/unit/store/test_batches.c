/* The events of one request: written together, each with its own id. */
#include "fixture.h"

#define EVENTS 3

static struct bw_batch_event event_of(uint32_t number, const char *key)
{
    struct bw_store_op op = accept_op(number, key);
    return (struct bw_batch_event){.event = op.event, .detail = BW_SLICE("of 3"), .bytes = 5};
}

static struct bw_store_op send_batch(struct bw_store *store, struct bw_batch_event events[EVENTS])
{
    struct bw_store_op op = accept_op(0, "");
    struct bw_error err;
    op.batch = events;
    op.batch_count = EVENTS;
    if (!bw_store_submit_wait(store, &op, &err)) fail_msg("%s", err.message);
    return op;
}

static bool count_row(void *arg, const struct bw_delivery_row *row)
{
    size_t *counts = arg; /* accepted, duplicates */
    assert_true(bw_slice_is(row->delivery.detail, "of 3"));
    assert_int_equal(row->delivery.bytes, 5);
    assert_true(row->delivery.provider_id.len == 1);
    counts[row->delivery.outcome == BW_OUTCOME_DUPLICATE]++;
    return true;
}

static void test_each_event_has_its_own_id_and_its_own_row(void **state)
{
    struct bw_store *store = open_store();
    struct bw_batch_event first[EVENTS] = {event_of(1, "a"), event_of(2, "b"), event_of(3, "b")}; /* one is in it twice */
    struct bw_batch_event again[EVENTS] = {event_of(4, "a"), event_of(5, "c"), event_of(6, "b")};
    struct bw_batch_event known[EVENTS] = {event_of(7, "a"), event_of(8, "c"), event_of(9, "b")};
    struct bw_error err;
    size_t counts[2] = {0};
    (void)state;
    uint64_t commits = bw_store_commits(store);
    struct bw_store_op op = send_batch(store, first);
    assert_int_equal(bw_store_commits(store), commits + 1);
    assert_false(op.is_duplicate);
    assert_true(!first[0].is_duplicate && !first[1].is_duplicate && first[2].is_duplicate);
    assert_memory_equal(&first[2].duplicate_of, &first[1].event.uid, sizeof(struct bw_uid));
    assert_int_equal(first[1].event_id, first[0].event_id + 1);
    op = send_batch(store, again);
    assert_false(op.is_duplicate);
    assert_true(again[0].is_duplicate && !again[1].is_duplicate && again[2].is_duplicate);
    assert_memory_equal(&again[0].duplicate_of, &first[0].event.uid, sizeof(struct bw_uid));
    assert_int_equal(again[2].event_id, first[1].event_id);
    op = send_batch(store, known);
    assert_true(op.is_duplicate);
    struct bw_reader *reader = bw_reader_open(folder, &err);
    assert_non_null(reader);
    assert_true(bw_reader_deliveries(reader, (struct bw_slice){0}, false, 0, 20, count_row, counts, &err));
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[1], 6);
    uint64_t pending = 0;
    assert_true(bw_reader_pending_count(reader, &pending, &err));
    assert_int_equal(pending, 3);
    bw_reader_close(reader);
    bw_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_event_has_its_own_id_and_its_own_row, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
