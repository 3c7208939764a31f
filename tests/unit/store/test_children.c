/* Runs that a step starts: slots, counts, the wake of the step, closing, retention. */
#include "parking_fixture.h"

enum { PARENT = 1 };
static char items_text[BW_CHILDREN_MAX * 8];

static struct bw_slice make_items(uint32_t count)
{
    size_t len = 0;
    for (uint32_t i = 0; i < count; i++) {
        char text[12];
        int digits = snprintf(text, sizeof text, "%u", i % 1000);
        memcpy(items_text + len + 4, text, (size_t)digits);
        items_text[len] = (char)digits;
        memset(items_text + len + 1, 0, 3);
        len += 4 + (size_t)digits;
    }
    return (struct bw_slice){items_text, len};
}

static struct bw_join_new join_of(uint32_t total, uint32_t concurrency, uint32_t allowed)
{
    return (struct bw_join_new){.workflow = BW_SLICE("deploy"),
                                .items = make_items(total),
                                .context = BW_SLICE("{\"steps\":[]}"),
                                .total = total,
                                .concurrency = concurrency,
                                .allowed = allowed,
                                .depth = 1};
}

static void fan(enum bw_run_state state, const struct bw_join_new *join)
{
    struct bw_step_row step = step_row("fan", BW_STEP_WAITING);
    step.join = join;
    put_step(PARENT, state, step);
}

static struct bw_uid child_uid(uint32_t item)
{
    return bw_uid_of_child(uid_of(PARENT), BW_SLICE("fan"), item);
}

static void report_child(uint32_t item, enum bw_run_state state, const struct bw_step_row *steps, size_t count)
{
    struct bw_run_row row = {.uid = child_uid(item),
                             .workflow = BW_SLICE("deploy"),
                             .state = state,
                             .started_ms = 1,
                             .ended_ms = state >= BW_RUN_SUCCEEDED ? 7 : 0,
                             .output = BW_SLICE("{\"n\":1}"),
                             .steps = steps,
                             .step_count = count};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    commit(&op);
}

static void end_child(uint32_t item, enum bw_run_state state)
{
    report_child(item, state, NULL, 0);
}

static int64_t joined(const char *column)
{
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT coalesce((SELECT %s FROM joins), -1)", column);
    return query(sql);
}

static int64_t live(void)
{
    return query("SELECT count(*) FROM children c JOIN runs r ON r.id = c.run_id WHERE r.state < 20");
}

static int64_t child_state(uint32_t item)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT coalesce((SELECT state FROM runs r JOIN children c ON c.run_id = r.id WHERE item = %u), 0)", item);
    return query(sql);
}

static void test_no_more_children_start_than_the_concurrency_allows(void **state)
{
    const struct bw_join_new join = join_of(5, 2, 0);
    (void)state;
    fan(BW_RUN_PARKED, &join);
    assert_int_equal(live(), 2);
    assert_int_equal(query("SELECT count(*) FROM queue"), 2);
    assert_int_equal(state_of(PARENT), BW_RUN_PARKED);
    assert_sound();
}

static void test_an_end_starts_the_next_item_in_order(void **state)
{
    const struct bw_join_new join = join_of(5, 2, 0);
    (void)state;
    fan(BW_RUN_PARKED, &join);
    end_child(1, BW_RUN_SUCCEEDED);
    assert_int_equal(child_state(2), BW_RUN_ACTIVE);
    assert_int_equal(child_state(3), 0);
    assert_int_equal(joined("started"), 3);
    assert_sound();
}

static void test_the_last_end_wakes_the_parent_and_no_earlier_one(void **state)
{
    const struct bw_join_new join = join_of(3, 3, 1);
    (void)state;
    fan(BW_RUN_PARKED, &join);
    end_child(2, BW_RUN_SUCCEEDED);
    end_child(0, BW_RUN_FAILED);
    assert_int_equal(state_of(PARENT), BW_RUN_PARKED);
    end_child(1, BW_RUN_SUCCEEDED);
    assert_int_equal(state_of(PARENT), BW_RUN_ACTIVE);
    assert_int_equal(wake_of(PARENT, "kind"), BW_WAKE_CHILD);
    assert_int_equal(wake_of(PARENT, "at_ms"), 7);
    assert_int_equal(joined("succeeded"), 2);
    assert_int_equal(joined("failed"), 1);
    assert_sound();
}

static void test_above_the_tolerated_failures_nothing_starts_and_the_last_running_one_wakes(void **state)
{
    const struct bw_join_new join = join_of(100, 3, 1);
    (void)state;
    fan(BW_RUN_PARKED, &join);
    end_child(0, BW_RUN_FAILED);
    assert_int_equal(joined("started"), 4);
    end_child(1, BW_RUN_FAILED);
    end_child(2, BW_RUN_SUCCEEDED);
    assert_int_equal(joined("started"), 4);
    assert_int_equal(state_of(PARENT), BW_RUN_PARKED);
    end_child(3, BW_RUN_SUCCEEDED);
    assert_int_equal(state_of(PARENT), BW_RUN_ACTIVE);
    assert_sound();
    put_step(PARENT, BW_RUN_FAILED, step_row("fan", BW_STEP_FAILED));
    assert_sound();
}

static void test_an_active_parent_finds_the_wake_when_it_wants_to_park(void **state)
{
    const struct bw_join_new join = join_of(1, 1, 0);
    (void)state;
    fan(BW_RUN_ACTIVE, &join);
    assert_int_equal(live(), 1);
    end_child(0, BW_RUN_SUCCEEDED);
    assert_int_equal(queue_of(PARENT), 0);
    put_step(PARENT, BW_RUN_PARKED, sleeping("nap", 5000));
    assert_int_equal(state_of(PARENT), BW_RUN_ACTIVE);
    assert_true(queue_of(PARENT) > 0);
    assert_sound();
}

static void test_a_step_reported_twice_starts_its_children_once(void **state)
{
    const struct bw_join_new join = join_of(4, 2, 0);
    (void)state;
    fan(BW_RUN_ACTIVE, &join);
    fan(BW_RUN_PARKED, &join);
    assert_int_equal(query("SELECT count(*) FROM children"), 2);
    assert_sound();
}

static void test_a_step_reported_again_after_its_children_ended_is_woken(void **state)
{
    const struct bw_join_new join = join_of(2, 2, 0);
    (void)state;
    fan(BW_RUN_ACTIVE, &join);
    end_child(0, BW_RUN_SUCCEEDED);
    end_child(1, BW_RUN_SUCCEEDED);
    assert_int_equal(rows_of("wakes", PARENT), 1);
    fan(BW_RUN_PARKED, &join); /* by a worker that had not heard of it */
    assert_int_equal(state_of(PARENT), BW_RUN_ACTIVE);
    assert_int_equal(wake_of(PARENT, "kind"), BW_WAKE_CHILD);
    assert_true(queue_of(PARENT));
    assert_sound();
}

static void test_an_end_reported_twice_counts_once(void **state)
{
    const struct bw_join_new join = join_of(4, 2, 4);
    (void)state;
    fan(BW_RUN_PARKED, &join);
    end_child(0, BW_RUN_FAILED);
    end_child(0, BW_RUN_SUCCEEDED);
    assert_int_equal(joined("failed"), 1);
    assert_int_equal(joined("succeeded"), 0);
    assert_int_equal(joined("started"), 3);
}

static void test_the_end_of_the_parent_cancels_its_children_and_theirs(void **state)
{
    const struct bw_join_new join = join_of(9, 2, 0), below = join_of(1, 1, 0);
    struct bw_step_row step = step_row("inner", BW_STEP_WAITING);
    (void)state;
    fan(BW_RUN_PARKED, &join);
    step.join = &below;
    report_child(0, BW_RUN_PARKED, &step, 1);
    assert_int_equal(live(), 3);
    put(PARENT, BW_RUN_FAILED, NULL, 0);
    assert_int_equal(live(), 0);
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state = 22"), 3);
    assert_int_equal(query("SELECT count(*) FROM queue"), 0);
    end_child(1, BW_RUN_SUCCEEDED); /* a worker that did not know yet */
    assert_int_equal(child_state(1), BW_RUN_CANCELLED);
    assert_int_equal(joined("succeeded"), 0);
    assert_sound();
}

static int64_t step_of_child(const char *path)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT s.state FROM steps s JOIN runs r ON r.id = s.run_id WHERE s.path = '%s' AND r.workflow <> ''", path);
    return query(sql);
}

static void test_the_steps_of_a_cancelled_child_end_and_one_that_was_called_is_unknown(void **state)
{
    const struct bw_join_new join = join_of(1, 1, 0);
    struct bw_step_row steps[] = {step_row("called", BW_STEP_STARTED), step_row("again", BW_STEP_RETRYING), step_row("round", BW_STEP_RETRYING),
                                  step_row("pause", BW_STEP_WAITING), step_row("good", BW_STEP_SUCCEEDED)};
    (void)state;
    fan(BW_RUN_PARKED, &join);
    steps[1].error = (struct bw_slice)BW_SLICE("{\"code\":\"busy\"}");
    report_child(0, BW_RUN_ACTIVE, steps, 5);
    put(PARENT, BW_RUN_CANCELLED, NULL, 0);
    assert_int_equal(step_of_child("called"), BW_STEP_UNKNOWN);
    assert_int_equal(step_of_child("again"), BW_STEP_FAILED);
    assert_int_equal(step_of_child("round"), BW_STEP_CANCELLED);
    assert_int_equal(step_of_child("pause"), BW_STEP_CANCELLED);
    assert_int_equal(step_of_child("good"), BW_STEP_SUCCEEDED);
    assert_int_equal(
        query("SELECT error LIKE '%\"step.unknown\"%runs resolve run\\_% --step called --succeeded%' ESCAPE '\\' FROM steps WHERE path = 'called'"),
        1);
    assert_int_equal(query("SELECT count(*) FROM steps WHERE path <> 'good' AND ended_ms = 0"), 0);
    assert_sound();
}

static void test_what_the_worker_of_a_cancelled_child_still_knew_is_better_than_unknown(void **state)
{
    const struct bw_join_new join = join_of(1, 1, 0);
    struct bw_step_row steps[] = {step_row("called", BW_STEP_STARTED), step_row("spared", BW_STEP_STARTED), step_row("other", BW_STEP_STARTED)};
    (void)state;
    fan(BW_RUN_PARKED, &join);
    report_child(0, BW_RUN_ACTIVE, steps, 3);
    put(PARENT, BW_RUN_CANCELLED, NULL, 0);
    steps[0].state = BW_STEP_SUCCEEDED;
    steps[0].output = (struct bw_slice)BW_SLICE("7");
    steps[1].state = BW_STEP_CANCELLED;
    steps[2].state = BW_STEP_SUCCEEDED;
    steps[2].attempt++; /* of another attempt than the one that is unknown */
    report_child(0, BW_RUN_SUCCEEDED, steps, 3);
    assert_int_equal(child_state(0), BW_RUN_CANCELLED);
    assert_int_equal(step_of_child("called"), BW_STEP_SUCCEEDED);
    assert_int_equal(query("SELECT output = CAST('7' AS BLOB) AND error IS NULL FROM steps WHERE path = 'called'"), 1);
    assert_int_equal(step_of_child("spared"), BW_STEP_CANCELLED);
    assert_int_equal(step_of_child("other"), BW_STEP_UNKNOWN);
    assert_int_equal(joined("succeeded"), 0);
    assert_sound();
}

static void test_a_detached_child_outlives_its_parent(void **state)
{
    struct bw_join_new join = join_of(1, 1, 0);
    struct bw_step_row step = step_row("fan", BW_STEP_SUCCEEDED);
    (void)state;
    join.is_detached = join.is_call = true;
    step.join = &join;
    put_step(PARENT, BW_RUN_SUCCEEDED, step);
    assert_int_equal(child_state(0), BW_RUN_ACTIVE);
    end_child(0, BW_RUN_FAILED);
    assert_int_equal(joined("failed"), 0);
    assert_int_equal(query("SELECT count(*) FROM wakes"), 0);
    assert_sound();
}

static void test_very_many_items_have_rows_only_while_they_run(void **state)
{
    const struct bw_join_new join = join_of(5000, 50, 0);
    (void)state;
    fan(BW_RUN_PARKED, &join);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(joined("started") - i, i <= 4950 ? 50 : 5000 - i);
        end_child(i, BW_RUN_SUCCEEDED);
    }
    assert_int_equal(query("SELECT count(*) FROM join_items"), 0);
    assert_int_equal(state_of(PARENT), BW_RUN_ACTIVE);
    assert_sound();
}

static void test_malformed_items_are_refused(void **state)
{
    struct bw_join_new join = join_of(3, 3, 0);
    struct bw_step_row step = step_row("fan", BW_STEP_WAITING);
    (void)state;
    join.items.len--;
    step.join = &join;
    assert_string_equal(try_put(PARENT, BW_RUN_PARKED, &step, 1), "store.refused");
    join.items.len -= 4;
    join.total = 4;
    assert_string_equal(try_put(PARENT, BW_RUN_PARKED, &step, 1), "store.refused");
    assert_int_equal(query("SELECT count(*) FROM runs"), 0);
}

/* ---- retention ---- */

static void years_pass(void)
{
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .event_done = true, .matched = 1};
    commit(&op);
    wall_ms += 1000 * DAY_MS;
    add_newest();
    pass();
    assert_sound();
}

static void test_children_stay_as_long_as_their_parent_lives(void **state)
{
    const struct bw_join_new join = join_of(300, 10, 0);
    (void)state;
    struct bw_about at_once = {.workflow = join.workflow, .ok_ms = 1, .failed_ms = 1};
    say_about(&at_once, 1); /* they go with who has started them, whatever their workflow says */
    fan(BW_RUN_PARKED, &join);
    for (uint32_t i = 0; i < 200; i++) end_child(i, BW_RUN_SUCCEEDED);
    years_pass();
    assert_int_equal(query("SELECT count(*) FROM children"), 210);
    for (uint32_t i = 200; i < 300; i++) end_child(i, BW_RUN_SUCCEEDED);
    years_pass();
    assert_int_equal(query("SELECT count(*) FROM children"), 300);
    put_step(PARENT, BW_RUN_SUCCEEDED, step_row("fan", BW_STEP_SUCCEEDED));
    years_pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), 0);
    assert_int_equal(query("SELECT count(*) FROM children"), 0);
    assert_int_equal(query("SELECT count(*) FROM joins"), 0);
    assert_false(has_row("events", "id", first_event));
}

static void test_a_parent_stays_as_long_as_what_it_detached_lives(void **state)
{
    struct bw_join_new join = join_of(1, 1, 0);
    struct bw_step_row step = step_row("fan", BW_STEP_SUCCEEDED);
    (void)state;
    join.is_detached = true;
    step.join = &join;
    put_step(PARENT, BW_RUN_SUCCEEDED, step);
    years_pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), 2);
    end_child(0, BW_RUN_SUCCEEDED);
    years_pass();
    years_pass();
    assert_int_equal(query("SELECT count(*) FROM runs"), 0);
}

static void test_above_the_cap_ended_parents_go_with_their_children(void **state)
{
    const struct bw_retention_config keep = {.max_size_bytes = 1};
    const struct bw_join_new join = join_of(300, 300, 0);
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .event_done = true, .matched = 1};
    (void)state;
    fan(BW_RUN_PARKED, &join);
    commit(&op);
    add_newest();
    for (uint32_t i = 0; i < 299; i++) end_child(i, BW_RUN_SUCCEEDED);
    reopen_writer(&keep);
    run_slices();
    assert_int_equal(query("SELECT count(*) FROM children"), 300); /* it is not over */
    end_child(299, BW_RUN_SUCCEEDED);
    put_step(PARENT, BW_RUN_SUCCEEDED, step_row("fan", BW_STEP_SUCCEEDED));
    mono_us += 3600 * 1000000LL;
    run_slices();
    assert_int_equal(query("SELECT count(*) FROM runs"), 0);
    assert_int_equal(query("SELECT count(*) FROM children"), 0);
    assert_sound();
}

/* ---- crashes: test_children child FOLDER EVENT ---- */

static void whole_life(void)
{
    const struct bw_join_new join = join_of(3, 2, 3);
    fan(BW_RUN_PARKED, &join);
    for (uint32_t i = 0; i < 3; i++) end_child(i, i == 1 ? BW_RUN_FAILED : BW_RUN_SUCCEEDED);
}

static int child_main(char **argv)
{
    struct bw_error err = {0};
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    writer = (struct bw_writer){.reserve = -1};
    first_event = atoll(argv[3]);
    if (!bw_writer_open(&writer, argv[2], &err)) return 3;
    whole_life();
    bw_writer_close(&writer, true);
    return 0;
}

static void test_a_crash_around_a_start_or_an_end_is_before_it_or_after_it(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const struct {
        const char *point;
        int64_t started, ended;
        enum bw_run_state parent;
    } cases[] = {
        {"store.before_children:1", -1, -1, 0},
        {"store.after_children:1", 2, 0, BW_RUN_PARKED},
        {"store.before_children:2", 2, 0, BW_RUN_PARKED}, /* the first end, which starts the third item */
        {"store.before_join:1", 2, 0, BW_RUN_PARKED},
        {"store.after_join:1", 3, 1, BW_RUN_PARKED},
        {"store.before_join:3", 3, 2, BW_RUN_PARKED},
        {"store.after_join:3", 3, 3, BW_RUN_ACTIVE}, /* the last end, which wakes */
        {"", 3, 3, BW_RUN_ACTIVE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i && (teardown(state) || parking_setup(state))) fail();
        bw_writer_close(&writer, true);
        int status = run_child(cases[i].point);
        if (status != (*cases[i].point ? 137 : 0)) fail_msg("%s: %d", cases[i].point, status);
        open_writer(&defaults);
        assert_sound();
        assert_int_equal(joined("started"), cases[i].started);
        assert_int_equal(joined("succeeded + failed"), cases[i].ended);
        assert_int_equal(state_of(PARENT), cases[i].parent);
        if (cases[i].parent != BW_RUN_ACTIVE) whole_life(); /* its workers report again what they do not know of */
        assert_int_equal(state_of(PARENT), BW_RUN_ACTIVE);
        assert_int_equal(joined("succeeded"), 2);
        assert_int_equal(joined("failed"), 1);
        assert_int_equal(query("SELECT count(*) FROM children"), 3);
        assert_int_equal(query("SELECT count(*) FROM wakes"), 1);
        assert_sound();
    }
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_no_more_children_start_than_the_concurrency_allows),
        PARKING(test_an_end_starts_the_next_item_in_order),
        PARKING(test_the_last_end_wakes_the_parent_and_no_earlier_one),
        PARKING(test_above_the_tolerated_failures_nothing_starts_and_the_last_running_one_wakes),
        PARKING(test_an_active_parent_finds_the_wake_when_it_wants_to_park),
        PARKING(test_a_step_reported_twice_starts_its_children_once),
        PARKING(test_a_step_reported_again_after_its_children_ended_is_woken),
        PARKING(test_an_end_reported_twice_counts_once),
        PARKING(test_the_end_of_the_parent_cancels_its_children_and_theirs),
        PARKING(test_the_steps_of_a_cancelled_child_end_and_one_that_was_called_is_unknown),
        PARKING(test_what_the_worker_of_a_cancelled_child_still_knew_is_better_than_unknown),
        PARKING(test_a_detached_child_outlives_its_parent),
        PARKING(test_very_many_items_have_rows_only_while_they_run),
        PARKING(test_malformed_items_are_refused),
        PARKING(test_children_stay_as_long_as_their_parent_lives),
        PARKING(test_a_parent_stays_as_long_as_what_it_detached_lives),
        PARKING(test_above_the_cap_ended_parents_go_with_their_children),
        PARKING(test_a_crash_around_a_start_or_an_end_is_before_it_or_after_it),
    };
    if (argc == 4 && strcmp(argv[1], "child") == 0) return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
