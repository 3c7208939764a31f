/* Steps of which nobody knows what they have done: a run that has one goes on only when somebody has said it, and in one transaction with that. */
#include "parking_fixture.h"

enum { PLAIN = 2, PARENT = 3 };

static int64_t step_of(struct bw_uid run, const char *path, const char *column)
{
    char sql[256], hex[33];
    for (size_t i = 0; i < sizeof run.bytes; i++) snprintf(hex + 2 * i, 3, "%02x", run.bytes[i]);
    snprintf(sql, sizeof sql, "SELECT coalesce((SELECT %s FROM steps WHERE run_id = (SELECT id FROM runs WHERE uid = x'%s') AND path = '%s'), 0)",
             column, hex, path);
    return query(sql);
}

static void report_run(struct bw_uid uid, enum bw_run_state state, const struct bw_step_row *steps, size_t count)
{
    struct bw_run_row row = {.uid = uid,
                             .workflow = BW_SLICE("deploy"),
                             .state = state,
                             .started_ms = 1,
                             .ended_ms = state >= BW_RUN_SUCCEEDED ? wall_ms : 0,
                             .error = state == BW_RUN_FAILED ? (struct bw_slice)BW_SLICE("{\"code\":\"step.unknown\"}") : (struct bw_slice){0},
                             .steps = steps,
                             .step_count = count};
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    commit(&op);
}

static struct bw_step_row unknown(const char *path)
{
    struct bw_step_row step = step_row(path, BW_STEP_UNKNOWN);
    step.error = (struct bw_slice)BW_SLICE("{\"code\":\"step.unknown\"}");
    return step;
}

static void fail_run(uint32_t run)
{
    const struct bw_step_row steps[] = {step_row("one", BW_STEP_SUCCEEDED), unknown("two")};
    report_run(uid_of(run), BW_RUN_FAILED, steps, 2);
}

static struct bw_letter letter;

static const char *resolve(struct bw_uid run, const char *step, enum bw_step_resolution resolution, const char *output)
{
    struct bw_letters letters = {.verb = BW_LETTER_RESOLVE,
                                 .actor = BW_SLICE("ann"),
                                 .now_ms = wall_ms,
                                 .step = bw_slice_of(step),
                                 .resolution = resolution,
                                 .output = bw_slice_of(output),
                                 .items = &letter,
                                 .count = 1};
    struct bw_store_op op = {.kind = BW_OP_LETTERS, .letters = &letters};
    letter = (struct bw_letter){.run = run};
    commit(&op);
    return letter.is_refused ? letter.refusal.code : "";
}

static void test_a_run_with_an_unknown_step_is_not_resumed(void **state)
{
    const struct bw_step_row started = step_row("two", BW_STEP_STARTED); /* its run could not even be begun again */
    (void)state;
    fail_run(PLAIN);
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(PLAIN)), "step.unresolved");
    report_run(uid_of(PARENT), BW_RUN_FAILED, &started, 1);
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(PARENT)), "step.unresolved");
    assert_int_equal(query("SELECT count(*) FROM runs WHERE state <> 21") + query("SELECT count(*) FROM audit"), 0);
    assert_string_equal(do_letter(BW_LETTER_REPLAY, uid_of(PLAIN)), ""); /* all of it once more: that says itself */
    assert_string_equal(do_letter(BW_LETTER_DISCARD, uid_of(PARENT)), "");
}

static void test_succeeded_is_a_result_and_the_run_goes_on(void **state)
{
    (void)state;
    fail_run(PLAIN);
    assert_string_equal(resolve(uid_of(PLAIN), "two", BW_STEP_HAS_SUCCEEDED, "{\"id\":7}"), "");
    assert_true(letter.is_resumed);
    assert_int_equal(state_of(PLAIN), BW_RUN_ACTIVE);
    assert_true(queue_of(PLAIN) > 0);
    assert_int_equal(step_of(uid_of(PLAIN), "two", "state"), BW_STEP_SUCCEEDED);
    assert_int_equal(step_of(uid_of(PLAIN), "two", "CAST(output AS TEXT) = '{\"id\":7}' AND error IS NULL"), 1);
    assert_int_equal(step_of(uid_of(PLAIN), "two", "again"), 0); /* it is not run again */
    assert_int_equal(query("SELECT count(*) FROM audit WHERE verb = 'resolve' AND actor = 'ann' AND detail = 'the step two has succeeded'"), 1);
    assert_int_equal(query("SELECT count(*) FROM audit WHERE verb = 'resume'"), 1);
    assert_sound();
}

static void test_failed_leaves_the_run_where_it_is(void **state)
{
    (void)state;
    fail_run(PLAIN);
    assert_string_equal(resolve(uid_of(PLAIN), "two", BW_STEP_HAS_FAILED, ""), "");
    assert_false(letter.is_resumed);
    assert_int_equal(state_of(PLAIN), BW_RUN_FAILED);
    assert_int_equal(queue_of(PLAIN), 0);
    assert_int_equal(step_of(uid_of(PLAIN), "two", "state"), BW_STEP_FAILED);
    assert_int_equal(step_of(uid_of(PLAIN), "two", "json_extract(error, '$.code') = 'step.unknown'"), 1);
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(PLAIN)), "");
    assert_int_equal(step_of(uid_of(PLAIN), "two", "again"), 1); /* then it is run anew */
}

static void test_retry_runs_it_once_more(void **state)
{
    (void)state;
    fail_run(PLAIN);
    assert_string_equal(resolve(uid_of(PLAIN), "two", BW_STEP_TRY_AGAIN, ""), "");
    assert_true(letter.is_resumed);
    assert_int_equal(state_of(PLAIN), BW_RUN_ACTIVE);
    assert_int_equal(step_of(uid_of(PLAIN), "two", "state = 22 AND again AND error IS NULL"), 1); /* as if it had not begun */
    assert_sound();
}

static void test_the_last_unknown_step_lets_the_run_go_on(void **state)
{
    const struct bw_step_row steps[] = {unknown("one"), unknown("two")};
    (void)state;
    report_run(uid_of(PLAIN), BW_RUN_FAILED, steps, 2);
    assert_string_equal(resolve(uid_of(PLAIN), "one", BW_STEP_HAS_SUCCEEDED, "{}"), "");
    assert_false(letter.is_resumed);
    assert_string_equal(letter.refusal.code, "step.unresolved");
    assert_non_null(strstr(letter.refusal.hint, "--step two"));
    assert_int_equal(state_of(PLAIN), BW_RUN_FAILED);
    assert_string_equal(resolve(uid_of(PLAIN), "two", BW_STEP_TRY_AGAIN, ""), "");
    assert_true(letter.is_resumed);
    assert_int_equal(state_of(PLAIN), BW_RUN_ACTIVE);
}

static void test_only_an_unknown_step_of_a_failed_run_is_resolved(void **state)
{
    (void)state;
    assert_string_equal(resolve(uid_of(77), "two", BW_STEP_HAS_SUCCEEDED, "{}"), "run.unknown");
    fail_run(PLAIN);
    assert_string_equal(resolve(uid_of(PLAIN), "three", BW_STEP_HAS_SUCCEEDED, "{}"), "step.missing");
    assert_string_equal(resolve(uid_of(PLAIN), "one", BW_STEP_HAS_SUCCEEDED, "{}"), "step.not_unknown");
    assert_string_equal(do_letter(BW_LETTER_DISCARD, uid_of(PLAIN)), "");
    assert_string_equal(resolve(uid_of(PLAIN), "two", BW_STEP_HAS_SUCCEEDED, "{}"), "run.resolved");
    const struct bw_step_row steps[] = {unknown("two")}; /* something has caught it */
    report_run(uid_of(PARENT), BW_RUN_SUCCEEDED, steps, 1);
    assert_string_equal(resolve(uid_of(PARENT), "two", BW_STEP_HAS_SUCCEEDED, "{}"), "run.not_failed");
    assert_int_equal(query("SELECT count(*) FROM audit WHERE verb <> 'discard'") + query("SELECT count(*) FROM queue"), 0);
    assert_int_equal(query("SELECT count(*) FROM steps WHERE state = 24"), 2);
}

static void test_an_item_goes_on_with_the_run_that_it_belongs_to(void **state)
{
    struct bw_step_row fan = step_row("fan", BW_STEP_WAITING), inner = unknown("post");
    const struct bw_join_new join = {
        .workflow = BW_SLICE("deploy"), .items = {"\1\0\0\0007", 5}, .context = BW_SLICE("{}"), .total = 1, .concurrency = 1, .depth = 1};
    const struct bw_uid item = bw_uid_of_child(uid_of(PARENT), BW_SLICE("fan"), 0);
    char text[BW_UID_TEXT];
    (void)state;
    fan.join = &join;
    report_run(uid_of(PARENT), BW_RUN_PARKED, &fan, 1);
    report_run(item, BW_RUN_FAILED, &inner, 1);
    fan = step_row("fan", BW_STEP_FAILED);
    report_run(uid_of(PARENT), BW_RUN_FAILED, &fan, 1);
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(PARENT)), "step.unresolved");
    assert_string_equal(resolve(uid_of(PARENT), "fan", BW_STEP_HAS_SUCCEEDED, "{}"), "step.not_unknown");
    assert_string_equal(resolve(item, "post", BW_STEP_HAS_SUCCEEDED, "{}"), "");
    assert_false(letter.is_resumed);
    assert_string_equal(letter.refusal.code, "run.child");
    assert_non_null(strstr(letter.refusal.hint, bw_uid_text(uid_of(PARENT), BW_UID_RUN, text)));
    assert_int_equal(step_of(item, "post", "state"), BW_STEP_SUCCEEDED);
    assert_string_equal(do_letter(BW_LETTER_RESUME, uid_of(PARENT)), "");
    assert_int_equal(state_of(PARENT), BW_RUN_ACTIVE);
    assert_sound();
}

static void test_a_replay_copies_no_unknown_step(void **state)
{
    const struct bw_slice own[] = {BW_SLICE("one"), BW_SLICE("two"), BW_SLICE("three")};
    const struct bw_letter_workflow workflow = {.name = BW_SLICE("deploy"), .steps = own, .own_count = 3, .step_count = 3};
    struct bw_letters letters = {.verb = BW_LETTER_REPLAY,
                                 .actor = BW_SLICE("ann"),
                                 .now_ms = wall_ms,
                                 .revision = 9,
                                 .workflows = &workflow,
                                 .workflow_count = 1,
                                 .from = BW_SLICE("three"),
                                 .items = &letter,
                                 .count = 1};
    struct bw_store_op op = {.kind = BW_OP_LETTERS, .letters = &letters};
    (void)state;
    fail_run(PLAIN);
    letter = (struct bw_letter){.run = uid_of(PLAIN), .replay = uid_of(500)};
    commit(&op);
    assert_true(letter.is_refused);
    assert_string_equal(letter.refusal.code, "step.unresolved");
    assert_int_equal(query("SELECT count(*) FROM runs"), 1);
    letters.from = (struct bw_slice)BW_SLICE("two"); /* then it is begun with */
    commit(&op);
    assert_false(letter.is_refused);
    assert_int_equal(query("SELECT count(*) FROM runs"), 2);
}

/* ---- crashes ---- */

static int child_main(char **argv)
{
    struct bw_error err = {0};
    writer = (struct bw_writer){.reserve = -1};
    first_event = atoll(argv[3]);
    wall_ms = START_MS;
    if (!bw_writer_open(&writer, argv[2], &err)) return 3;
    if (*resolve(uid_of(PLAIN), "two", BW_STEP_HAS_SUCCEEDED, "{}")) return 2;
    bw_writer_close(&writer, true);
    return 0;
}

static void test_a_crash_is_before_all_of_it_or_after_all_of_it(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const char *const points[] = {"", "store.before_letters:1", "store.after_letters:1"};
    for (size_t i = 0; i < 3; i++) {
        if (i && (teardown(state) || parking_setup(state))) fail();
        fail_run(PLAIN);
        bw_writer_close(&writer, true);
        assert_int_equal(run_child(points[i]), i ? 137 : 0);
        open_writer(&defaults);
        assert_sound();
        assert_int_equal(query("SELECT count(*) FROM audit"), i == 1 ? 0 : 2);
        assert_int_equal(state_of(PLAIN), i == 1 ? BW_RUN_FAILED : BW_RUN_ACTIVE);
        assert_int_equal(query("SELECT count(*) FROM queue"), i != 1);
        assert_int_equal(step_of(uid_of(PLAIN), "two", "state"), i == 1 ? BW_STEP_UNKNOWN : BW_STEP_SUCCEEDED);
    }
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PARKING(test_a_run_with_an_unknown_step_is_not_resumed),
        PARKING(test_succeeded_is_a_result_and_the_run_goes_on),
        PARKING(test_failed_leaves_the_run_where_it_is),
        PARKING(test_retry_runs_it_once_more),
        PARKING(test_the_last_unknown_step_lets_the_run_go_on),
        PARKING(test_only_an_unknown_step_of_a_failed_run_is_resolved),
        PARKING(test_an_item_goes_on_with_the_run_that_it_belongs_to),
        PARKING(test_a_replay_copies_no_unknown_step),
        PARKING(test_a_crash_is_before_all_of_it_or_after_all_of_it),
    };
    if (argc == 4 && strcmp(argv[1], "child") == 0) return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
