/* Parked runs through the store's own interface: who is told what and when, and what readers see. */
#include "fixture.h"
#include <pthread.h>

static struct bw_store *store;
static int64_t event_id;
static const uint64_t KEY = 42;

/* ---- what the handler heard ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls;
    size_t woken;
    int64_t next_due_ms;
    char order[16]; /* 'd' done(), 'w' the handler */
} heard = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void note_order(char what)
{
    size_t len = strlen(heard.order);
    if (len + 1 < sizeof heard.order) heard.order[len] = what;
}

static void on_wake(void *arg, const struct bw_store_wakes *wakes)
{
    assert_ptr_equal(arg, &heard);
    pthread_mutex_lock(&heard.lock);
    heard.calls++;
    heard.woken += wakes->woken;
    heard.next_due_ms = wakes->next_due_ms;
    note_order('w');
    pthread_cond_signal(&heard.changed);
    pthread_mutex_unlock(&heard.lock);
}

/* After this whatever the commits before had to tell has been told: of operations that were waited for, since this one is in a later commit. */
static void catch_up(void)
{
    struct bw_store_op op = refused_op("x", 1, BW_OUTCOME_UNVERIFIED);
    submit(store, &op);
}

static void assert_heard(int calls, size_t woken, int64_t next_due_ms)
{
    catch_up();
    pthread_mutex_lock(&heard.lock);
    int heard_calls = heard.calls;
    size_t heard_woken = heard.woken;
    int64_t heard_due_ms = heard.next_due_ms;
    heard.calls = 0;
    heard.woken = 0;
    pthread_mutex_unlock(&heard.lock); /* before anything can fail: the writer thread takes it too */
    assert_int_equal(heard_calls, calls);
    assert_int_equal(heard_woken, woken);
    if (calls) assert_int_equal(heard_due_ms, next_due_ms);
}

static int open_all(void **state)
{
    if (make_folder(state)) return -1;
    store = open_store();
    struct bw_store_op op = accept_op(1, "");
    submit(store, &op);
    event_id = op.event_id;
    heard.calls = 0;
    heard.woken = 0;
    memset(heard.order, 0, sizeof heard.order);
    bw_store_on_wake(store, on_wake, &heard);
    return 0;
}

static int close_all(void **state)
{
    bw_store_close(store);
    return remove_folder(state);
}

static struct bw_step_row sleeping(const char *path, int64_t due_ms)
{
    return (struct bw_step_row){.path = bw_slice_of(path), .state = BW_STEP_WAITING, .attempt = 1, .due_ms = due_ms};
}

static void put(uint32_t run, enum bw_run_state state, const struct bw_step_row *steps, size_t count)
{
    struct bw_run_row row = {.uid = uid_of(run), .workflow = BW_SLICE("w"), .state = state, .steps = steps, .step_count = count};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = event_id, .runs = &row, .run_count = 1};
    submit(store, &op);
}

static void park_until(uint32_t run, int64_t due_ms)
{
    struct bw_step_row step = sleeping("nap", due_ms);
    put(run, BW_RUN_PARKED, &step, 1);
}

static void park_for_key(uint32_t run, int64_t due_ms)
{
    const struct bw_wait_arm arm = {KEY, event_id};
    struct bw_step_row step = sleeping("wait", due_ms);
    step.arms = &arm;
    step.arm_count = 1;
    put(run, BW_RUN_PARKED, &step, 1);
}

static int64_t accept_key(uint32_t number)
{
    struct bw_store_op op = accept_op(number, "");
    op.event.keys = &KEY;
    op.event.key_count = 1;
    submit(store, &op);
    return op.event_id;
}

static bool fire(int64_t now_ms)
{
    struct bw_store_op op = {.kind = BW_OP_WAKE, .now_ms = now_ms};
    submit(store, &op);
    return op.more;
}

/* ---- telling ---- */

static void test_the_handler_hears_of_woken_runs_and_of_earlier_timers_alone(void **state)
{
    (void)state;
    assert_heard(0, 0, 0);
    park_until(1, 5000);
    assert_heard(1, 0, 5000);
    park_until(2, 6000);
    assert_heard(0, 0, 0); /* not before the other */
    park_until(3, 4000);
    assert_heard(1, 0, 4000);
    assert_int_equal(bw_store_next_due(store), 4000);
    assert_false(fire(4000));
    assert_int_equal(bw_store_next_due(store), 5000);
    assert_heard(1, 1, 5000);
    put(1, BW_RUN_CANCELLED, NULL, 0);
    assert_heard(0, 0, 0); /* later is no news */
    assert_int_equal(bw_store_next_due(store), 6000);
    park_for_key(4, 0);
    assert_heard(0, 0, 0);
    accept_key(2);
    assert_heard(1, 1, 6000);
    bw_store_on_wake(store, NULL, NULL);
    accept_key(3);
    park_until(5, 100);
    assert_heard(0, 0, 0);
    assert_int_equal(bw_store_next_due(store), 100);
}

static void test_the_earliest_timer_is_known_after_the_start(void **state)
{
    (void)state;
    assert_int_equal(bw_store_next_due(store), 0);
    park_until(1, 7000);
    bw_store_close(store);
    store = open_store();
    assert_int_equal(bw_store_next_due(store), 7000);
}

static void note_done(struct bw_store_op *op)
{
    assert_false(op->failed);
    pthread_mutex_lock(&heard.lock);
    note_order('d');
    pthread_mutex_unlock(&heard.lock);
}

/* Whoever reports a run must not find it in the queue while it still believes to own it. */
static void test_done_comes_before_the_handler(void **state)
{
    const struct bw_wait_arm arm = {KEY, event_id};
    struct bw_step_row step = sleeping("wait", 0);
    struct bw_run_row row = {.uid = uid_of(1), .workflow = BW_SLICE("w"), .state = BW_RUN_PARKED, .steps = &step, .step_count = 1};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = event_id, .runs = &row, .run_count = 1, .done = note_done};
    (void)state;
    accept_key(2);
    step.arms = &arm;
    step.arm_count = 1;
    bw_store_submit(store, &op);
    pthread_mutex_lock(&heard.lock);
    while (!heard.calls) pthread_cond_wait(&heard.changed, &heard.lock); /* else the test's time is over */
    pthread_mutex_unlock(&heard.lock);
    assert_string_equal(heard.order, "dw");
}

static void test_very_many_waiters_are_woken_without_further_traffic(void **state)
{
    enum { MANY = 2 * BW_WAKES_AT_ONCE + 7 };
    const struct bw_wait_arm arm = {KEY, event_id};
    static struct bw_run_row rows[MANY];
    struct bw_step_row step = sleeping("wait", 0);
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = event_id, .runs = rows, .run_count = MANY};
    (void)state;
    step.arms = &arm;
    step.arm_count = 1;
    for (uint32_t i = 0; i < MANY; i++)
        rows[i] = (struct bw_run_row){.uid = uid_of(i), .workflow = BW_SLICE("w"), .state = BW_RUN_PARKED, .steps = &step, .step_count = 1};
    submit(store, &op);
    accept_key(2);
    pthread_mutex_lock(&heard.lock);
    while (heard.woken < MANY) pthread_cond_wait(&heard.changed, &heard.lock); /* else the test's time is over */
    assert_int_equal(heard.woken, MANY);
    assert_true(heard.calls > 2);
    pthread_mutex_unlock(&heard.lock);
}

/* ---- reading ---- */

struct read_queue {
    size_t count, stop_at;
    struct bw_queued last;
};
static bool read_one(void *arg, const struct bw_queued *queued)
{
    struct read_queue *read = arg;
    assert_true(queued->id > read->last.id);
    assert_int_equal(queued->event_id, event_id);
    assert_true(bw_uid_equal(queued->run, uid_of((uint32_t)read->count + 1)));
    read->last = *queued;
    return ++read->count != read->stop_at;
}

static void test_the_queue_is_read_in_order_behind_a_cursor(void **state)
{
    struct bw_reader *reader = open_reader();
    struct read_queue read = {0};
    struct bw_error err = {0};
    size_t count;
    uint64_t parked;
    (void)state;
    for (uint32_t i = 1; i <= 5; i++) park_until(i, 1000 + i);
    park_until(9, 9000);
    assert_no_error(bw_reader_parked_count(reader, &parked, &err), err);
    assert_int_equal(parked, 6);
    fire(2000);
    assert_no_error(bw_reader_parked_count(reader, &parked, &err), err);
    assert_int_equal(parked, 1);
    assert_no_error(bw_reader_queue(reader, 0, 2, read_one, &read, &count, &err), err);
    assert_int_equal(count, 2);
    read.stop_at = 3;
    assert_no_error(bw_reader_queue(reader, read.last.id, 100, read_one, &read, &count, &err), err);
    assert_int_equal(count, 1);
    assert_no_error(bw_reader_queue(reader, read.last.id, 100, read_one, &read, &count, &err), err);
    assert_int_equal(count, 2);
    assert_no_error(bw_reader_queue(reader, read.last.id, 100, read_one, &read, &count, &err), err);
    assert_int_equal(count, 0);
    bw_reader_close(reader);
}

static struct bw_step_row seen[3];
static enum bw_run_state seen_state;
static bool seen_woken;
static bool note_run(void *arg, const struct bw_run *run)
{
    ++*(int *)arg;
    assert_true(run->row.step_count <= 3);
    memcpy(seen, run->row.steps, run->row.step_count * sizeof *seen);
    seen_state = run->row.state;
    seen_woken = run->is_woken;
    return true;
}

static void test_a_run_is_read_with_its_timers_and_wakes(void **state)
{
    const struct bw_wait_arm arms[] = {{1, event_id}, {KEY, event_id}};
    struct bw_step_row steps[] = {sleeping("nap", 5000), sleeping("wait", 6000), sleeping("ended", 7000)};
    struct bw_reader *reader = open_reader();
    struct bw_error err = {0};
    int visits = 0;
    bool found;
    (void)state;
    steps[0].state = BW_STEP_RETRYING;
    steps[1].arms = arms;
    steps[1].arm_count = 2;
    steps[2].state = BW_STEP_SUCCEEDED;
    put(1, BW_RUN_PARKED, steps, 3);
    assert_no_error(bw_reader_run(reader, uid_of(1), note_run, &visits, &found, &err), err);
    assert_int_equal(seen_state, BW_RUN_PARKED);
    assert_false(seen_woken);
    assert_int_equal(seen[0].due_ms, 5000);
    assert_int_equal(seen[0].state, BW_STEP_RETRYING);
    assert_int_equal(seen[1].due_ms, 6000);
    assert_int_equal(seen[1].wake.kind, BW_WAKE_NONE);
    assert_int_equal(seen[2].due_ms, 0);
    int64_t event = accept_key(2);
    fire(5500);
    struct bw_run_filter filter = {.limit = 10, .with_steps = true, .state = BW_RUN_ACTIVE};
    assert_no_error(bw_reader_runs(reader, &filter, note_run, &visits, &err), err);
    assert_int_equal(visits, 2);
    assert_true(seen_woken);
    assert_int_equal(seen[0].wake.kind, BW_WAKE_TIMER);
    assert_int_equal(seen[0].wake.at_ms, 5500);
    assert_int_equal(seen[0].wake.event_id, 0);
    assert_int_equal(seen[0].due_ms, 0);
    assert_int_equal(seen[1].wake.kind, BW_WAKE_EVENT);
    assert_int_equal(seen[1].wake.arm, 1);
    assert_int_equal(seen[1].wake.event_id, event);
    assert_int_equal(seen[1].wake.at_ms, 1000); /* when the event was accepted */
    assert_true(bw_uid_equal(seen[1].wake.event_uid, uid_of(2)));
    assert_int_equal(seen[2].wake.kind, BW_WAKE_NONE);
    filter.state = BW_RUN_PARKED;
    assert_no_error(bw_reader_runs(reader, &filter, note_run, &visits, &err), err);
    assert_int_equal(visits, 2);
    bw_reader_close(reader);
}

static bool check_event(void *arg, const struct bw_event *event)
{
    ++*(int *)arg;
    assert_int_equal(event->id, event_id);
    assert_true(bw_uid_equal(event->uid, uid_of(1)));
    assert_slice(event->body, "{\"ref\":\"refs/heads/main\"}");
    assert_false(event->is_damaged);
    assert_true(event->is_pending);
    return true;
}

static void test_an_event_is_read_by_its_id(void **state)
{
    struct bw_reader *reader = open_reader();
    struct bw_error err = {0};
    int visits = 0;
    bool found;
    (void)state;
    assert_no_error(bw_reader_event_by_id(reader, event_id, true, check_event, &visits, &found, &err), err);
    assert_true(found);
    assert_no_error(bw_reader_event_by_id(reader, event_id + 1, true, check_event, &visits, &found, &err), err);
    assert_false(found);
    assert_int_equal(visits, 1);
    bw_reader_close(reader);
}

static void test_the_new_states_have_names(void **state)
{
    (void)state;
    assert_string_equal(bw_run_state_name(BW_RUN_PARKED), "parked");
    assert_int_equal(bw_run_state_parse(BW_SLICE("parked")), BW_RUN_PARKED);
    assert_string_equal(bw_step_state_name(BW_STEP_WAITING), "waiting");
    assert_string_equal(bw_wake_kind_name(BW_WAKE_TIMER), "timer");
    assert_string_equal(bw_wake_kind_name(BW_WAKE_OPERATOR), "operator");
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_the_handler_hears_of_woken_runs_and_of_earlier_timers_alone),
        WITH_STORE(test_the_earliest_timer_is_known_after_the_start),
        WITH_STORE(test_done_comes_before_the_handler),
        WITH_STORE(test_very_many_waiters_are_woken_without_further_traffic),
        WITH_STORE(test_the_queue_is_read_in_order_behind_a_cursor),
        WITH_STORE(test_a_run_is_read_with_its_timers_and_wakes),
        WITH_STORE(test_an_event_is_read_by_its_id),
        cmocka_unit_test(test_the_new_states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
