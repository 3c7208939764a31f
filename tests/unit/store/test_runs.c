#include "fixture.h"

static int64_t event_id; /* of the one event that each test begins with */

static struct bw_store *open_with_event(void)
{
    struct bw_store *store = open_store();
    struct bw_store_op op = accept_op(1, "");
    submit(store, &op);
    event_id = op.event_id;
    return store;
}

static void report(struct bw_store *store, const struct bw_run_row *runs, size_t count, bool event_done)
{
    struct bw_store_op op = {
        .kind = BW_OP_REPORT, .event_id = event_id, .runs = runs, .run_count = count, .event_done = event_done, .matched = (uint32_t)count};
    submit(store, &op);
}

static struct bw_run_row run_row(uint32_t number, const char *workflow, enum bw_run_state state)
{
    return (struct bw_run_row){.uid = uid_of(number),
                               .workflow = bw_slice_of(workflow),
                               .version = {1, 2, 3},
                               .state = state,
                               .started_ms = 1100,
                               .ended_ms = state == BW_RUN_ACTIVE ? 0 : 1200};
}

static bool check_run(void *arg, const struct bw_run *run)
{
    ++*(int *)arg;
    assert_true(bw_uid_equal(run->row.uid, uid_of(5)));
    assert_slice(run->row.workflow, "deploy");
    assert_int_equal(run->row.version[2], 3);
    assert_int_equal(run->row.state, BW_RUN_FAILED);
    assert_int_equal(run->row.started_ms, 1100);
    assert_int_equal(run->row.ended_ms, 1200);
    assert_slice(run->row.output, "{\"n\":1}");
    assert_slice(run->row.error, "{\"code\":\"x\"}");
    assert_int_equal(run->event_id, event_id);
    assert_true(bw_uid_equal(run->event_uid, uid_of(1)));
    assert_slice(run->event_name, "github.push");
    assert_int_equal(run->row.step_count, 2);
    const struct bw_step_row *first = &run->row.steps[0], *second = &run->row.steps[1];
    assert_slice(first->path, "zeta"); /* in the order of the report, not of the alphabet */
    assert_int_equal(first->state, BW_STEP_SUCCEEDED);
    assert_int_equal(first->attempt, 2);
    assert_int_equal(first->started_ms, 1110);
    assert_int_equal(first->ended_ms, 1120);
    assert_slice(first->input_names, "[\"who\"]");
    assert_slice(first->output, "{\"text\":\"hi\"}");
    assert_int_equal(first->error.len, 0);
    assert_slice(second->path, "alpha");
    assert_int_equal(second->state, BW_STEP_FAILED);
    assert_slice(second->error, "{\"code\":\"http.status\"}");
    return true;
}

static void test_a_run_comes_back_with_its_steps(void **state)
{
    const struct bw_step_row steps[] = {
        {.path = BW_SLICE("zeta"),
         .state = BW_STEP_SUCCEEDED,
         .attempt = 2,
         .started_ms = 1110,
         .ended_ms = 1120,
         .input_names = BW_SLICE("[\"who\"]"),
         .output = BW_SLICE("{\"text\":\"hi\"}")},
        {.path = BW_SLICE("alpha"),
         .state = BW_STEP_FAILED,
         .attempt = 1,
         .started_ms = 1130,
         .ended_ms = 1140,
         .error = BW_SLICE("{\"code\":\"http.status\"}")},
    };
    struct bw_run_row run = run_row(5, "deploy", BW_RUN_FAILED);
    struct bw_store *store = open_with_event();
    struct bw_error err = {0};
    int visits = 0;
    bool found;
    (void)state;
    run.output = BW_SLICE("{\"n\":1}");
    run.error = BW_SLICE("{\"code\":\"x\"}");
    run.steps = steps;
    run.step_count = 2;
    report(store, &run, 1, true);
    struct bw_reader *reader = open_reader();
    assert_no_error(bw_reader_run(reader, uid_of(5), check_run, &visits, &found, &err), err);
    assert_true(found);
    struct bw_run_filter filter = {.limit = 10, .with_steps = true};
    assert_no_error(bw_reader_runs(reader, &filter, check_run, &visits, &err), err);
    assert_int_equal(visits, 2);
    bw_reader_close(reader);
    bw_store_close(store);
}

struct last {
    int count;
    enum bw_run_state state;
    size_t steps;
    enum bw_step_state step_states[8];
    int64_t row;
};
static bool note(void *arg, const struct bw_run *run)
{
    struct last *last = arg;
    last->count++;
    last->state = run->row.state;
    last->row = run->id;
    last->steps = run->row.step_count;
    for (size_t i = 0; i < run->row.step_count; i++) last->step_states[i] = run->row.steps[i].state;
    return true;
}

static struct last read_run(uint32_t number)
{
    struct bw_reader *reader = open_reader();
    struct bw_error err = {0};
    struct last last = {0};
    bool found;
    assert_no_error(bw_reader_run(reader, uid_of(number), note, &last, &found, &err), err);
    bw_reader_close(reader);
    return last;
}

static void test_later_reports_add_and_replace_steps(void **state)
{
    const struct bw_step_row early = {.path = BW_SLICE("one"), .state = BW_STEP_RETRYING, .attempt = 1, .started_ms = 1, .ended_ms = 2};
    const struct bw_step_row late[] = {{.path = BW_SLICE("one"), .state = BW_STEP_SUCCEEDED, .attempt = 2, .started_ms = 1, .ended_ms = 3},
                                       {.path = BW_SLICE("a"), .state = BW_STEP_SKIPPED, .attempt = 1, .started_ms = 3, .ended_ms = 3}};
    struct bw_run_row run = run_row(5, "deploy", BW_RUN_ACTIVE);
    struct bw_store *store = open_with_event();
    (void)state;
    run.steps = &early, run.step_count = 1;
    report(store, &run, 1, false);
    struct last last = read_run(5);
    assert_int_equal(last.state, BW_RUN_ACTIVE);
    assert_int_equal(last.step_states[0], BW_STEP_RETRYING);
    run = run_row(5, "deploy", BW_RUN_SUCCEEDED);
    run.steps = late, run.step_count = 2;
    report(store, &run, 1, true);
    last = read_run(5);
    assert_int_equal(last.count, 1);
    assert_int_equal(last.state, BW_RUN_SUCCEEDED);
    assert_int_equal(last.steps, 2);
    assert_int_equal(last.step_states[0], BW_STEP_SUCCEEDED);
    assert_int_equal(last.step_states[1], BW_STEP_SKIPPED);
    bw_store_close(store);
}

static bool note_failures(void *arg, const struct bw_run *run)
{
    bw_buf_append_slice(arg, run->row.steps[0].failures);
    return true;
}

/* Each report says what is new; a step that fails for ever does not fill the disk. */
static void test_failures_add_up_as_long_as_they_are_few(void **state)
{
    static char many[50000];
    const char *const reported[] = {"", "[1]", "", "[2,3]", many, many, "[4]"};
    const size_t kept[] = {0, 3, 3, 7, 7 + 49998, 7 + 2 * 49998, 7 + 2 * 49998};
    struct bw_store *store = open_with_event();
    struct bw_error err = {0};
    (void)state;
    memset(many, ' ', sizeof many - 1);
    many[0] = '[', many[sizeof many - 3] = '9', many[sizeof many - 2] = ']';
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const struct bw_step_row step = {
            .path = BW_SLICE("one"), .state = BW_STEP_RETRYING, .attempt = 1, .started_ms = 1, .failures = bw_slice_of(reported[i])};
        struct bw_run_row run = run_row(5, "deploy", BW_RUN_ACTIVE);
        struct bw_buf got = {0};
        bool found;
        run.steps = &step, run.step_count = 1;
        report(store, &run, 1, false);
        struct bw_reader *reader = open_reader();
        assert_no_error(bw_reader_run(reader, uid_of(5), note_failures, &got, &found, &err), err);
        bw_reader_close(reader);
        assert_int_equal(got.len, kept[i]);
        if (i == 3) assert_string_equal(got.data, "[1,2,3]");
        bw_buf_free(&got);
    }
    bw_store_close(store);
}

static void test_an_ended_run_stays_as_it_ended(void **state)
{
    const struct bw_step_row step = {.path = BW_SLICE("late"), .state = BW_STEP_FAILED, .attempt = 1, .started_ms = 1, .ended_ms = 2};
    struct bw_run_row run = run_row(5, "deploy", BW_RUN_SUCCEEDED);
    struct bw_store *store = open_with_event();
    (void)state;
    report(store, &run, 1, true);
    run = run_row(5, "deploy", BW_RUN_FAILED);
    run.steps = &step, run.step_count = 1;
    report(store, &run, 1, true);
    struct last last = read_run(5);
    assert_int_equal(last.state, BW_RUN_SUCCEEDED);
    assert_int_equal(last.steps, 0);
    bw_store_close(store);
}

static bool note_matched(void *arg, const struct bw_event *event)
{
    int *out = arg;
    out[0] = event->is_pending;
    out[1] = (int)event->matched;
    return true;
}

static void test_an_event_is_done_once_and_says_how_many_matched(void **state)
{
    struct bw_store *store = open_with_event();
    struct bw_run_row runs[] = {run_row(5, "a", BW_RUN_SUCCEEDED), run_row(6, "b", BW_RUN_SUCCEEDED)};
    struct bw_error err = {0};
    int got[2];
    bool found;
    uint64_t pending = 9;
    (void)state;
    struct bw_reader *reader = open_reader();
    report(store, runs, 1, false);
    assert_no_error(bw_reader_event(reader, uid_of(1), note_matched, got, &found, &err), err);
    assert_int_equal(got[0], 1);
    assert_no_error(bw_reader_pending_count(reader, &pending, &err), err);
    assert_int_equal(pending, 1);
    report(store, runs, 2, true);
    report(store, runs, 1, true); /* a repeat after a crash: the first count stays */
    assert_no_error(bw_reader_event(reader, uid_of(1), note_matched, got, &found, &err), err);
    assert_int_equal(got[0], 0);
    assert_int_equal(got[1], 2);
    assert_no_error(bw_reader_pending_count(reader, &pending, &err), err);
    assert_int_equal(pending, 0);
    bw_reader_close(reader);
    bw_store_close(store);
}

static void test_filters_choose_and_page(void **state)
{
    struct bw_store *store = open_with_event();
    struct bw_run_row runs[12];
    struct bw_error err = {0};
    static const char *const workflows[] = {"a", "b", "c"};
    static const enum bw_run_state states[] = {BW_RUN_SUCCEEDED, BW_RUN_FAILED};
    const struct {
        struct bw_run_filter filter;
        int count;
    } cases[] = {
        {{.limit = 100}, 12},
        {{.limit = 5}, 5},
        {{.limit = 100, .workflow = BW_SLICE("b")}, 4},
        {{.limit = 100, .state = BW_RUN_FAILED}, 6},
        {{.limit = 100, .state = BW_RUN_SUCCEEDED}, 6},
        {{.limit = 100, .state = BW_RUN_ACTIVE}, 0},
        {{.limit = 100, .workflow = BW_SLICE("a"), .state = BW_RUN_FAILED}, 2},
        {{.limit = 100, .workflow = BW_SLICE("a"), .state = BW_RUN_SUCCEEDED}, 2},
        {{.limit = 100, .workflow = BW_SLICE("nope")}, 0},
    };
    (void)state;
    for (uint32_t i = 0; i < 12; i++) runs[i] = run_row(i, workflows[i % 3], states[i / 3 % 2]);
    report(store, runs, 12, true);
    struct bw_reader *reader = open_reader();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bw_run_filter filter = cases[i].filter;
        struct last last = {0};
        assert_no_error(bw_reader_runs(reader, &filter, note, &last, &err), err);
        assert_int_equal(last.count, cases[i].count);
        filter.event_id = event_id;
        assert_no_error(bw_reader_runs(reader, &filter, note, &last, &err), err);
        assert_int_equal(last.count, 2 * cases[i].count);
        filter.event_id = event_id + 1;
        assert_no_error(bw_reader_runs(reader, &filter, note, &last, &err), err);
        assert_int_equal(last.count, 2 * cases[i].count);
    }
    struct bw_run_filter page = {.limit = 5};
    struct last last = {0};
    assert_no_error(bw_reader_runs(reader, &page, note, &last, &err), err);
    page.before_row = last.row;
    page.limit = 100;
    last.count = 0;
    assert_no_error(bw_reader_runs(reader, &page, note, &last, &err), err);
    assert_int_equal(last.count, 7);
    bw_reader_close(reader);
    bw_store_close(store);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_a_run_comes_back_with_its_steps), WITH_FOLDER(test_later_reports_add_and_replace_steps),
        WITH_FOLDER(test_an_ended_run_stays_as_it_ended),  WITH_FOLDER(test_an_event_is_done_once_and_says_how_many_matched),
        WITH_FOLDER(test_filters_choose_and_page),         WITH_FOLDER(test_failures_add_up_as_long_as_they_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
