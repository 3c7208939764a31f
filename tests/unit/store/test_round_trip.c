#include "fixture.h"

static void ignore_done(struct bw_store_op *op)
{
    assert_false(op->failed);
}

struct seen {
    int count;
    struct bw_event event;
    char body[256];
};

static bool see_event(void *arg, const struct bw_event *event)
{
    struct seen *seen = arg;
    seen->count++;
    seen->event = *event;
    assert_true(event->body.len < sizeof seen->body);
    memcpy(seen->body, event->body.ptr, event->body.len);
    return true;
}

static bool check_event(void *arg, const struct bw_event *event)
{
    ++*(int *)arg;
    assert_true(bw_uid_equal(event->uid, uid_of(7)));
    assert_int_equal(event->at_ms, 1000);
    assert_int_equal(event->revision, 1);
    assert_slice(event->source, "github");
    assert_slice(event->name, "github.push");
    assert_slice(event->headers, "{\"x-github-event\":\"push\"}");
    assert_slice(event->body, "{\"ref\":\"refs/heads/main\"}");
    assert_int_equal(event->workflow.len, 0);
    assert_true(event->trusted);
    assert_true(event->is_pending);
    assert_false(event->is_damaged);
    return true;
}

static void test_an_accepted_event_comes_back_as_it_was(void **state)
{
    struct bw_store *store = open_store();
    struct bw_store_op op = accept_op(7, "");
    struct bw_error err = {0};
    int visits = 0;
    bool found = false;
    size_t count = 0;
    (void)state;
    submit(store, &op);
    assert_true(op.event_id > 0);
    assert_false(op.is_duplicate);
    struct bw_reader *reader = open_reader();
    assert_no_error(bw_reader_event(reader, uid_of(7), check_event, &visits, &found, &err), err);
    assert_true(found);
    assert_no_error(bw_reader_pending(reader, 0, 10, check_event, &visits, &count, &err), err);
    assert_int_equal(count, 1);
    assert_no_error(bw_reader_events(reader, BW_SLICE("github.*"), 0, 10, true, check_event, &visits, &err), err);
    assert_int_equal(visits, 3);
    assert_no_error(bw_reader_event(reader, uid_of(8), check_event, &visits, &found, &err), err);
    assert_false(found);
    bw_reader_close(reader);
    bw_store_close(store);
}

static void test_bodies_are_bytes(void **state)
{
    static char big[300000];
    struct bw_store *store = open_store();
    struct bw_store_op op = accept_op(1, "");
    struct bw_error err = {0};
    struct seen seen = {0};
    bool found;
    (void)state;
    op.event.body = (struct bw_slice){"\0\xff\0", 3};
    submit(store, &op);
    struct bw_reader *reader = open_reader();
    assert_no_error(bw_reader_event(reader, uid_of(1), see_event, &seen, &found, &err), err);
    assert_int_equal(seen.event.body.len, 3);
    assert_memory_equal(seen.body, "\0\xff\0", 3);

    struct bw_store_op empty = accept_op(2, ""), large = accept_op(3, "");
    empty.event.body = (struct bw_slice){NULL, 0};
    memset(big, 'x', sizeof big);
    large.event.body = (struct bw_slice){big, sizeof big};
    submit(store, &empty);
    submit(store, &large);
    assert_no_error(bw_reader_event(reader, uid_of(2), see_event, &seen, &found, &err), err);
    assert_int_equal(seen.event.body.len, 0);
    assert_false(seen.event.is_damaged);
    bw_reader_close(reader);
    bw_store_close(store);
}

static bool note_length(void *arg, const struct bw_event *event)
{
    *(size_t *)arg = event->body.len;
    assert_false(event->is_damaged);
    return true;
}

static void test_bodies_are_read_only_when_asked_for(void **state)
{
    struct bw_store *store = open_store();
    struct bw_store_op op = accept_op(1, "");
    struct bw_error err = {0};
    size_t len = 99;
    (void)state;
    submit(store, &op);
    struct bw_reader *reader = open_reader();
    assert_no_error(bw_reader_events(reader, BW_SLICE(""), 0, 10, false, note_length, &len, &err), err);
    assert_int_equal(len, 0);
    assert_no_error(bw_reader_events(reader, BW_SLICE(""), 0, 10, true, note_length, &len, &err), err);
    assert_int_equal(len, op.event.body.len);
    bw_reader_close(reader);
    bw_store_close(store);
}

struct ids {
    int64_t list[16];
    size_t count;
};
static bool note_id(void *arg, const struct bw_event *event)
{
    struct ids *ids = arg;
    ids->list[ids->count++] = event->id;
    return ids->count < 16;
}

static void test_events_are_paged_from_the_newest(void **state)
{
    struct bw_store *store = open_store();
    struct bw_error err = {0};
    struct ids all = {{0}, 0}, page = {{0}, 0}, pushes = {{0}, 0}, pending = {{0}, 0};
    size_t count;
    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        struct bw_store_op op = accept_op(i, "");
        if (i % 2) op.event.name = BW_SLICE("stripe.invoice.paid");
        submit(store, &op);
    }
    struct bw_reader *reader = open_reader();
    assert_no_error(bw_reader_events(reader, BW_SLICE(""), 0, 3, false, note_id, &all, &err), err);
    assert_int_equal(all.count, 3);
    assert_true(all.list[0] > all.list[1] && all.list[1] > all.list[2]);
    assert_no_error(bw_reader_events(reader, BW_SLICE(""), all.list[2], 10, false, note_id, &page, &err), err);
    assert_int_equal(page.count, 3);
    assert_true(page.list[0] < all.list[2]);
    assert_no_error(bw_reader_events(reader, BW_SLICE("stripe.*"), 0, 10, false, note_id, &pushes, &err), err);
    assert_int_equal(pushes.count, 3);
    assert_no_error(bw_reader_pending(reader, all.list[2], 10, note_id, &pending, &count, &err), err);
    assert_int_equal(count, 2);
    assert_int_equal(pending.list[0], all.list[1]);
    assert_int_equal(pending.list[1], all.list[0]);
    bw_reader_close(reader);
    bw_store_close(store);
}

static int64_t late_us;
static int64_t hurrying_clock(void *arg)
{
    (void)arg;
    return late_us += 1000000; /* a second passes with each look at the clock */
}
static int64_t still_clock(void *arg)
{
    (void)arg;
    return 1000;
}

static void test_a_slow_read_is_cut_and_the_next_one_works(void **state)
{
    enum { EVENTS = 6000 };
    static struct bw_store_op ops[EVENTS];
    const struct bw_clock clock = {.wall_ms = still_clock, .mono_us = hurrying_clock};
    struct bw_store *store = open_store();
    struct bw_error err = {0};
    struct ids ids = {{0}, 0};
    (void)state;
    for (uint32_t i = 0; i < EVENTS; i++) {
        ops[i] = accept_op(i, "");
        ops[i].done = ignore_done;
        bw_store_submit(store, &ops[i]);
    }
    bw_store_close(store);
    struct bw_reader *reader = open_reader();
    bw_clock_override(&clock);
    bool ok = bw_reader_events(reader, BW_SLICE("no.such*"), 0, 10, false, note_id, &ids, &err);
    bw_clock_override(NULL);
    assert_false(ok);
    assert_string_equal(err.code, "store.slow_read");
    assert_no_error(bw_reader_events(reader, BW_SLICE("*"), 0, 10, false, note_id, &ids, &err), err);
    assert_int_equal(ids.count, 10);
    bw_reader_close(reader);
}

static bool check_revision_is_equal(const struct bw_revision *a, const struct bw_revision *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!bw_slice_equal(a->files[i].kind, b->files[i].kind) || !bw_slice_equal(a->files[i].path, b->files[i].path) ||
            !bw_slice_equal(a->files[i].content, b->files[i].content))
            return false;
    return true;
}

static void test_the_same_files_are_the_same_revision(void **state)
{
    struct bw_revision_file files[] = {
        {BW_SLICE("action"), BW_SLICE("a.lua"), BW_SLICE("return 1")},
        {BW_SLICE("workflow"), BW_SLICE("w.yaml"), {"name: w\0binary", 14}},
    };
    struct bw_revision_file turned[] = {files[1], files[0]};
    struct bw_revision first = {files, 2}, second = {turned, 2}, third = {files, 1};
    struct bw_store_op ops[] = {
        {.kind = BW_OP_REVISION, .revision = &first}, {.kind = BW_OP_REVISION, .revision = &second}, {.kind = BW_OP_REVISION, .revision = &third}};
    struct bw_store *store = open_store();
    struct bw_error err = {0};
    (void)state;
    for (int i = 0; i < 3; i++) submit(store, &ops[i]);
    assert_true(ops[0].revision_id > 0);
    assert_int_equal(ops[0].revision_id, ops[1].revision_id);
    assert_int_not_equal(ops[0].revision_id, ops[2].revision_id);
    struct bw_reader *reader = open_reader();
    struct bw_revision *read = bw_reader_revision(reader, ops[0].revision_id, &err);
    assert_no_error(read, err);
    assert_true(check_revision_is_equal(read, &first));
    bw_revision_free(read);
    assert_null(bw_reader_revision(reader, 4711, &err));
    assert_string_equal(err.code, "store.no_revision");
    bw_reader_close(reader);
    bw_store_close(store);
}

static void test_states_and_outcomes_have_names(void **state)
{
    (void)state;
    assert_string_equal(bw_outcome_name(BW_OUTCOME_UNKNOWN_PATH), "unknown_path");
    assert_string_equal(bw_step_state_name(BW_STEP_UNKNOWN), "unknown");
    static const enum bw_run_state states[] = {BW_RUN_ACTIVE, BW_RUN_SUCCEEDED, BW_RUN_FAILED, BW_RUN_CANCELLED, BW_RUN_SKIPPED};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        assert_int_equal(bw_run_state_parse(bw_slice_of(bw_run_state_name(states[i]))), states[i]);
    assert_int_equal(bw_run_state_parse(BW_SLICE("succeede")), -1);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_an_accepted_event_comes_back_as_it_was),    WITH_FOLDER(test_bodies_are_bytes),
        WITH_FOLDER(test_bodies_are_read_only_when_asked_for),       WITH_FOLDER(test_events_are_paged_from_the_newest),
        WITH_FOLDER(test_a_slow_read_is_cut_and_the_next_one_works), WITH_FOLDER(test_the_same_files_are_the_same_revision),
        cmocka_unit_test(test_states_and_outcomes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
