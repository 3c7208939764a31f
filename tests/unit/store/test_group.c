#include "fixture.h"
#include <pthread.h>
#include <stdatomic.h>

static atomic_int done_count, failed_count;

static void count_done(struct bw_store_op *op)
{
    if (op->failed) atomic_fetch_add(&failed_count, 1);
    atomic_fetch_add(&done_count, 1);
}

/* Holds the writer inside a group until the test says go, so that what is submitted meanwhile queues up. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_entered, is_open;
    struct bw_store_op op;
};

static bool pass_gate(struct bw_store_op *op)
{
    struct gate *gate = op->owner;
    pthread_mutex_lock(&gate->lock);
    gate->is_entered = true;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->is_open) pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
    return true;
}

static void close_gate(struct gate *gate, struct bw_store *store)
{
    *gate = (struct gate){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    gate->op = (struct bw_store_op){.kind = BW_OP_CALL, .call = pass_gate, .owner = gate, .done = count_done};
    bw_store_submit(store, &gate->op);
    pthread_mutex_lock(&gate->lock);
    while (!gate->is_entered) pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void open_gate(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static int reset_counts(void **state)
{
    done_count = failed_count = 0;
    return make_folder(state);
}

enum { THREADS = 4, PER_THREAD = 200 };
struct feeder {
    struct bw_store *store;
    uint32_t first;
    struct bw_store_op ops[PER_THREAD];
};

static void *feed(void *arg)
{
    struct feeder *feeder = arg;
    for (uint32_t i = 0; i < PER_THREAD; i++) {
        feeder->ops[i] = accept_op(feeder->first + i, "");
        feeder->ops[i].done = count_done;
        bw_store_submit(feeder->store, &feeder->ops[i]);
    }
    return NULL;
}

/* Neither the queue nor a transaction is longer than it looks. */
static void test_a_batch_counts_as_its_events(void **state)
{
    enum { EVENTS = 300 };
    static struct bw_batch_event events[3][EVENTS];
    struct bw_store_op ops[3];
    struct bw_store *store = open_store();
    struct gate gate;
    (void)state;
    close_gate(&gate, store);
    uint64_t commits = bw_store_commits(store);
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t k = 0; k < EVENTS; k++) events[i][k] = (struct bw_batch_event){.event = accept_op(i * 1000 + k, "").event};
        ops[i] = accept_op(0, "");
        ops[i].done = count_done;
        ops[i].batch = events[i];
        ops[i].batch_count = EVENTS;
        bw_store_submit(store, &ops[i]);
    }
    assert_int_equal(bw_store_queued(store), 3 * EVENTS + 1);
    open_gate(&gate);
    struct bw_store_op last = accept_op(99999, "");
    submit(store, &last);
    assert_int_equal(bw_store_queued(store), 0);
    assert_int_equal(done_count, 4);
    assert_in_range(bw_store_commits(store) - commits, 4, 5); /* the gate's and one for each, perhaps one for the last: two are too many for one */
    bw_store_close(store);
}

static void test_what_queued_up_is_one_commit_and_keeps_each_threads_order(void **state)
{
    static struct feeder feeders[THREADS];
    struct bw_store *store = open_store();
    pthread_t threads[THREADS];
    struct gate gate;
    (void)state;
    close_gate(&gate, store);
    for (uint32_t t = 0; t < THREADS; t++) {
        feeders[t] = (struct feeder){.store = store, .first = t * 1000};
        pthread_create(&threads[t], NULL, feed, &feeders[t]);
    }
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    assert_int_equal(bw_store_queued(store), THREADS * PER_THREAD + 1);
    open_gate(&gate);
    struct bw_store_op last = accept_op(99999, "");
    submit(store, &last);
    assert_int_equal(done_count, THREADS * PER_THREAD + 1);
    assert_int_equal(failed_count, 0);
    assert_int_equal(bw_store_queued(store), 0);
    /* The gate, two groups of at most 512, and perhaps one for the last that came later. */
    assert_in_range(bw_store_commits(store), 3, 4);
    for (int t = 0; t < THREADS; t++)
        for (int i = 1; i < PER_THREAD; i++) assert_true(feeders[t].ops[i - 1].event_id < feeders[t].ops[i].event_id);
    bw_store_close(store);
}

static void test_threads_that_submit_while_others_commit_lose_nothing(void **state)
{
    static struct feeder feeders[THREADS];
    struct bw_store *store = open_store();
    pthread_t threads[THREADS];
    struct bw_error err = {0};
    uint64_t pending = 0;
    (void)state;
    for (uint32_t t = 0; t < THREADS; t++) {
        feeders[t] = (struct feeder){.store = store, .first = t * 1000};
        pthread_create(&threads[t], NULL, feed, &feeders[t]);
    }
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    bw_store_close(store); /* commits what is queued */
    assert_int_equal(done_count, THREADS * PER_THREAD);
    assert_int_equal(failed_count, 0);
    struct bw_reader *reader = open_reader();
    assert_no_error(bw_reader_pending_count(reader, &pending, &err), err);
    assert_int_equal(pending, THREADS * PER_THREAD);
    bw_reader_close(reader);
}

static void test_an_operation_that_fails_alone_does_not_fail_its_group(void **state)
{
    struct bw_store *store = open_store();
    struct bw_store_op before = accept_op(7, ""), ops[5];
    struct bw_error err = {0};
    struct gate gate;
    uint64_t pending = 0;
    (void)state;
    submit(store, &before);
    close_gate(&gate, store);
    for (uint32_t i = 0; i < 5; i++) {
        ops[i] = accept_op(i == 2 ? 7 : 100 + i, "k"); /* the third has the uid of an event that is there */
        ops[i].event.dedupe_key = (struct bw_slice){"abcde" + i, 1};
        ops[i].done = count_done;
        bw_store_submit(store, &ops[i]);
    }
    open_gate(&gate);
    struct bw_store_op last = accept_op(200, "e"); /* same key as the last of the group: still known after the retry */
    submit(store, &last);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ops[i].failed, i == 2);
        assert_false(ops[i].is_duplicate); /* the rolled back group's keys are forgotten before the retry */
    }
    assert_string_equal(ops[2].error.code, "store.refused");
    assert_true(last.is_duplicate);
    assert_false(bw_store_is_failed(store));
    struct bw_reader *reader = open_reader();
    assert_no_error(bw_reader_pending_count(reader, &pending, &err), err);
    assert_int_equal(pending, 5);
    bw_reader_close(reader);
    bw_store_close(store);
}

static bool refuse(struct bw_store_op *op)
{
    return bw_error_set(&op->error, "test.refused", "no");
}

static void test_a_call_that_fails_has_its_own_error(void **state)
{
    struct bw_store *store = open_store();
    struct bw_store_op op = {.kind = BW_OP_CALL, .call = refuse};
    struct bw_error err = {0};
    (void)state;
    assert_false(bw_store_submit_wait(store, &op, &err));
    assert_string_equal(err.code, "test.refused");
    bw_store_close(store);
}

static void test_the_owner_stays_the_submitters(void **state)
{
    struct bw_store *store = open_store();
    struct bw_store_op op = accept_op(1, "");
    (void)state;
    op.owner = &op;
    submit(store, &op);
    assert_ptr_equal(op.owner, &op);
    bw_store_close(store);
}

static void test_a_store_in_memory_dedupes_and_reports_too(void **state)
{
    struct bw_error err = {0};
    struct bw_store *store = bw_store_open(NULL, &err);
    struct bw_store_op first = accept_op(1, "k"), second = accept_op(2, "k");
    struct bw_run_row run = {.uid = uid_of(9), .workflow = BW_SLICE("w"), .state = BW_RUN_SUCCEEDED};
    (void)state;
    assert_no_error(store, err);
    submit(store, &first);
    submit(store, &second);
    assert_true(second.is_duplicate);
    struct bw_store_op report = {.kind = BW_OP_REPORT, .event_id = first.event_id, .runs = &run, .run_count = 1, .event_done = true, .matched = 1};
    submit(store, &report);
    bw_store_close(store);
}

static void test_large_bodies_are_split_over_groups(void **state)
{
    enum { COUNT = 8, BYTES = 1024 * 1024 };
    struct bw_store *store = open_store();
    struct bw_store_op ops[COUNT];
    struct gate gate;
    char *body = malloc(BYTES);
    (void)state;
    assert_non_null(body);
    memset(body, 'x', BYTES);
    close_gate(&gate, store);
    for (uint32_t i = 0; i < COUNT; i++) {
        ops[i] = accept_op(i, "");
        ops[i].event.body = (struct bw_slice){body, BYTES};
        ops[i].done = count_done;
        bw_store_submit(store, &ops[i]);
    }
    open_gate(&gate);
    bw_store_close(store);
    assert_int_equal(done_count, COUNT + 1);
    assert_int_equal(failed_count, 0);
    free(body);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, reset_counts, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_a_batch_counts_as_its_events),
        WITH_FOLDER(test_what_queued_up_is_one_commit_and_keeps_each_threads_order),
        WITH_FOLDER(test_threads_that_submit_while_others_commit_lose_nothing),
        WITH_FOLDER(test_an_operation_that_fails_alone_does_not_fail_its_group),
        WITH_FOLDER(test_a_call_that_fails_has_its_own_error),
        WITH_FOLDER(test_the_owner_stays_the_submitters),
        WITH_FOLDER(test_a_store_in_memory_dedupes_and_reports_too),
        WITH_FOLDER(test_large_bodies_are_split_over_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
