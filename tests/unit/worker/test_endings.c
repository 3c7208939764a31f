/* What follows a failure and the end of the steps: `catch`, `undo`, `on_failure`, `finally`. Steps are calls of a plugin that this test plays. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define PLUGIN                                                                                                                            \
    "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\",\"inputs\":{\"x\":{\"type\":\"any\"}," \
    "\"y\":{\"type\":\"any\"}}}]}"
#define CANCELLED 22

static void load(struct engine *engine, const char *workflow)
{
    char *text = NULL;
    engine_start(engine);
    assert_true(asprintf(&text, HEAD "%s", workflow) > 0);
    engine_load_good(engine, "plugin", PLUGIN, "workflow", text, NULL);
    free(text);
}
static void begin(struct engine *engine, const char *workflow)
{
    load(engine, workflow);
    engine_event(engine, "{\"n\":1}");
}

/* The next call must be this step's, with this input; what was reported before is committed. */
static int64_t expect_call(struct engine *engine, const char *step, const char *input)
{
    for (;;) {
        const struct answer *answer = engine_poll(engine, PATIENCE_MS);
        if (!answer) fail_msg("no call of %s came", step);
        if (answer->type == BW_MSG_REPORT) {
            if (!json_is_true(json_object_get(answer->head, "ack"))) fail_msg("the run has ended before %s", step);
            engine_commit(engine, number(answer->head, "report"));
            continue;
        }
        assert_int_equal(answer->type, BW_MSG_CALL);
        assert_string_equal(text(answer->head, "step"), step);
        assert_int_equal(answer->part_count, 1);
        assert_string_equal(bw_slice_is(answer->parts[0], input) ? input : answer->parts[0].ptr, input);
        return number(answer->head, "call");
    }
}
static void ok(struct engine *engine, const char *step, const char *input, const char *result)
{
    int64_t call = expect_call(engine, step, input);
    struct bw_slice part = bw_slice_of(result);
    engine_send(engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)call);
}
static void no(struct engine *engine, const char *step, const char *input, const char *code)
{
    int64_t call = expect_call(engine, step, input);
    engine_send(engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"fail\",\"error\":{\"code\":\"%s\",\"message\":\"it is %s\"}}",
                (long long)call, code, code);
}
static int state_of(const json_t *run, const char *path)
{
    size_t index;
    json_t *step;
    json_array_foreach(json_object_get(run, "steps"), index, step) if (!strcmp(text(step, "path"), path)) return (int)number(step, "state");
    return -1;
}

/* ---- catch ---- */

#define CAUGHT                                                                                                                \
    "steps:\n"                                                                                                                \
    "  - id: a\n"                                                                                                             \
    "    uses: my/call@1\n"                                                                                                   \
    "    catch:\n"                                                                                                            \
    "      - {if: \"${{ error.code == 'busy' }}\", steps: [{id: b, uses: my/call@1, with: {x: \"${{ error.message }}\"}}]}\n" \
    "      - {if: \"${{ error.code == 'gone' }}\", steps: [{id: c, uses: my/call@1}], then: fail}\n"                          \
    "      - {if: \"${{ error.code == 'done' }}\", then: stop}\n"                                                             \
    "  - {id: d, uses: my/call@1, with: {x: \"${{ ok('a') }}\", y: \"${{ status('b') }}\"}}\n"

static void test_a_caught_failure_lets_the_run_go_on(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CAUGHT);
    no(&engine, "a", "{}", "busy");
    ok(&engine, "b", "{\"x\":\"it is busy\"}", "{}");
    ok(&engine, "d", "{\"x\":false,\"y\":\"succeeded\"}", "{}");
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

static void test_without_a_failure_no_catch_is_run(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CAUGHT);
    ok(&engine, "a", "{}", "{}");
    ok(&engine, "d", "{\"x\":true,\"y\":\"skipped\"}", "{}");
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

static void test_then_fail_fails_with_the_error_that_was_caught(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CAUGHT);
    no(&engine, "a", "{}", "gone");
    ok(&engine, "c", "{}", "{}");
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "gone");
    assert_int_equal(state_of(run, "d"), -1);
    engine_stop(&engine);
}

static void test_then_stop_ends_the_run_well(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CAUGHT);
    no(&engine, "a", "{}", "done");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(state_of(run, "a"), FAILED);
    assert_int_equal(state_of(run, "d"), -1);
    engine_stop(&engine);
}

static void test_a_failure_that_no_entry_takes_fails_the_run(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CAUGHT);
    no(&engine, "a", "{}", "odd");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "odd");
    engine_stop(&engine);
}

static void test_a_condition_of_a_catch_that_cannot_be_told_fails_the_run(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, uses: my/call@1, catch: [{if: \"${{ error.code }}\"}]}]\n");
    no(&engine, "a", "{}", "odd");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "expr.not_boolean");
    engine_stop(&engine);
}

static void test_who_needs_a_caught_step_waits_for_what_catches_it(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps:\n"
                   "  - {id: a, uses: my/call@1, catch: [{steps: [{id: b, uses: my/call@1}]}]}\n"
                   "  - {id: c, needs: [a], uses: my/call@1}\n");
    no(&engine, "a", "{}", "busy");
    int64_t b = expect_call(&engine, "b", "{}");
    assert_null(engine_poll(&engine, 20)); /* c is not begun */
    struct bw_slice part = BW_SLICE("{}");
    engine_send(&engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)b);
    ok(&engine, "c", "{}", "{}");
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

/* ---- the endings ---- */

#define SAGA                                                                                                                  \
    "steps:\n"                                                                                                                \
    "  - {id: a, uses: my/call@1, undo: {uses: my/call@1, with: {x: \"${{ result.id }}\", y: \"${{ error.code }}\"}}}\n"      \
    "  - {id: b, uses: my/call@1, undo: {uses: my/call@1, with: {x: \"${{ result.id }}\"}, if: \"${{ result.id ~= 0 }}\"}}\n" \
    "  - {id: c, uses: my/call@1, undo: {uses: my/call@1, with: {x: \"${{ result.id }}\"}}}\n"                                \
    "  - {id: d, uses: my/call@1, undo: {uses: my/call@1}}\n"                                                                 \
    "on_failure: [{id: e, uses: my/call@1, with: {x: \"${{ error.step }}\", y: \"${{ steps.a.id }}\"}}]\n"                    \
    "finally: [{id: f, uses: my/call@1, with: {x: \"${{ error.code or 'fine' }}\"}}, {id: g, uses: my/call@1}]\n"

static void test_a_failure_is_undone_backwards_then_told_then_cleaned_up(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, SAGA);
    ok(&engine, "a", "{}", "{\"id\":1}");
    ok(&engine, "b", "{}", "{\"id\":0}");
    ok(&engine, "c", "{}", "{\"id\":3}");
    no(&engine, "d", "{}", "full");
    no(&engine, "c~undo", "{\"x\":3}", "stuck"); /* does not keep the others back; b's condition leaves it out */
    ok(&engine, "a~undo", "{\"x\":1,\"y\":\"full\"}", "{}");
    ok(&engine, "e", "{\"x\":\"d\",\"y\":1}", "{}");
    ok(&engine, "f", "{\"x\":\"full\"}", "{}");
    ok(&engine, "g", "{}", "{}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "full"); /* the first error is the run's */
    engine_stop(&engine);
}

static void test_a_good_run_is_only_cleaned_up(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, SAGA "outputs: {id: \"${{ steps.c.id }}\"}\n");
    static const char *const steps[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++) ok(&engine, steps[i], "{}", "{\"id\":5}");
    ok(&engine, "f", "{\"x\":\"fine\"}", "{}");
    ok(&engine, "g", "{}", "{}");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"id\":5}");
    engine_stop(&engine);
}

static void test_a_cleaning_up_that_fails_spoils_a_good_end(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, set: {}}]\nfinally: [{id: f, uses: my/call@1}, {id: g, uses: my/call@1}]\n");
    no(&engine, "f", "{}", "dirty");
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "dirty");
    assert_int_equal(state_of(run, "g"), -1);
    engine_stop(&engine);
}

static void test_a_telling_that_fails_keeps_neither_the_error_nor_the_cleaning_up(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, uses: my/call@1}]\non_failure: [{id: e, uses: my/call@1}, {id: h, uses: my/call@1}]\n"
                   "finally: [{id: f, uses: my/call@1}]\n");
    no(&engine, "a", "{}", "full");
    no(&engine, "e", "{}", "mute");
    ok(&engine, "f", "{}", "{}");
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "full");
    engine_stop(&engine);
}

static void test_a_stop_and_a_bad_trigger_have_their_endings_too(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, uses: my/call@1, undo: {uses: my/call@1}}, {id: s, stop: {as: failed, message: enough}}]\n"
                   "on_failure: [{id: e, uses: my/call@1, with: {x: \"${{ error.message }}\"}}]\n");
    ok(&engine, "a", "{}", "{}");
    ok(&engine, "a~undo", "{}", "{}");
    ok(&engine, "e", "{\"x\":\"enough\"}", "{}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "stopped");
    engine_stop(&engine);
    engine_start(&engine);
    engine_load_good(&engine, "plugin", PLUGIN, "workflow",
                     "name: w\non: [{event: app.ping, if: event.data.n}]\nsteps: [{id: a, uses: my/call@1}]\n"
                     "on_failure: [{id: e, uses: my/call@1, with: {x: \"${{ error.step }}\"}}]\n",
                     NULL);
    engine_event(&engine, "{\"n\":1}");
    ok(&engine, "e", "{\"x\":\"on\"}", "{}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "expr.not_boolean");
    engine_stop(&engine);
}

static void test_undo_on_says_when(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "undo_on: [cancel]\nsteps: [{id: a, uses: my/call@1, undo: {uses: my/call@1}}, {id: b, uses: my/call@1}]\n");
    ok(&engine, "a", "{}", "{}");
    no(&engine, "b", "{}", "full");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "full");
    engine_stop(&engine);
}

static void test_the_time_of_a_run_is_over_and_it_has_as_much_again_for_its_endings(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "timeout: 50ms\nsteps: [{id: a, uses: my/call@1}]\nfinally: [{id: f, uses: my/call@1, with: {x: \"${{ error.code }}\"}}]\n");
    expect_call(&engine, "a", "{}");
    engine_next(&engine, BW_MSG_CALL_CANCEL);
    expect_call(&engine, "f", "{\"x\":\"run.timeout\"}"); /* and never answered */
    engine_next(&engine, BW_MSG_CALL_CANCEL);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "run.timeout");
    assert_int_equal(state_of(run, "f"), CANCELLED);
    engine_stop(&engine);
}

/* ---- after a crash ---- */

static void recover(struct engine *engine, const char *workflow, const char *steps, const struct bw_slice *parts, size_t count)
{
    char more[1200];
    load(engine, workflow);
    snprintf(more, sizeof more, ",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"lost\":0,\"steps\":[%s]}]", run_of("w"), steps);
    engine_event_with(engine, "{\"n\":1}", more, parts, count);
}
#define FULL "\"error\":{\"code\":\"full\",\"message\":\"it is full\",\"class\":\"permanent\",\"step\":\"d\"}"

static void test_endings_go_on_where_they_were(void **state)
{
    (void)state;
    struct engine engine;
    const struct bw_slice parts[] = {BW_SLICE("{\"id\":1}"), BW_SLICE("{\"id\":3}")};
    /* a ended after c: they ran side by side for all we know. c is undone already. */
    recover(&engine, SAGA,
            "{\"path\":\"a\",\"state\":20,\"attempt\":1,\"ended_ms\":90,\"output_part\":2},{\"path\":\"c\",\"state\":20,\"attempt\":1,"
            "\"ended_ms\":80,\"output_part\":3},{\"path\":\"d\",\"state\":21,\"attempt\":1,\"ended_ms\":95," FULL "},"
            "{\"path\":\"~main\",\"state\":21,\"attempt\":0,\"ended_ms\":96," FULL "},{\"path\":\"a~undo\",\"state\":20,\"attempt\":1}",
            parts, 2);
    ok(&engine, "c~undo", "{\"x\":3}", "{}");
    ok(&engine, "e", "{\"x\":\"d\",\"y\":1}", "{}");
    ok(&engine, "f", "{\"x\":\"full\"}", "{}");
    ok(&engine, "g", "{}", "{}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "full");
    engine_stop(&engine);
}

static void test_a_recorded_failure_is_not_tried_again(void **state)
{
    (void)state;
    struct engine engine;
    recover(&engine, SAGA, "{\"path\":\"d\",\"state\":21,\"attempt\":1,\"ended_ms\":95," FULL "}", NULL, 0);
    ok(&engine, "e", "{\"x\":\"d\"}", "{}");
    ok(&engine, "f", "{\"x\":\"full\"}", "{}");
    ok(&engine, "g", "{}", "{}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "full");
    engine_stop(&engine);
}

static void test_a_good_end_that_is_recorded_stays_good(void **state)
{
    (void)state;
    struct engine engine;
    const struct bw_slice out = BW_SLICE("{\"id\":7}");
    recover(&engine, "timeout: 1h\n" SAGA, "{\"path\":\"~main\",\"state\":20,\"attempt\":0,\"ended_ms\":4102444800000,\"output_part\":2}", &out, 1);
    ok(&engine, "f", "{\"x\":\"fine\"}", "{}");
    ok(&engine, "g", "{}", "{}");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"id\":7}");
    engine_stop(&engine);
}

static void test_a_catch_goes_on_where_it_was(void **state)
{
    (void)state;
    struct engine engine;
    recover(
        &engine, CAUGHT,
        "{\"path\":\"a\",\"state\":21,\"attempt\":1,\"error\":{\"code\":\"busy\",\"message\":\"it is busy\",\"class\":\"permanent\",\"step\":\"a\"}}",
        NULL, 0);
    ok(&engine, "b", "{\"x\":\"it is busy\"}", "{}");
    ok(&engine, "d", "{\"x\":false,\"y\":\"succeeded\"}", "{}");
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

static void test_a_block_whose_steps_are_all_recorded_has_ended(void **state)
{
    (void)state;
    struct engine engine;
    recover(&engine, "steps: [{if: true, steps: [{id: a, uses: my/call@1}]}, {id: b, uses: my/call@1}]\n",
            "{\"path\":\"a\",\"state\":20,\"attempt\":1}", NULL, 0);
    ok(&engine, "b", "{}", "{}");
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_caught_failure_lets_the_run_go_on),
        cmocka_unit_test(test_without_a_failure_no_catch_is_run),
        cmocka_unit_test(test_then_fail_fails_with_the_error_that_was_caught),
        cmocka_unit_test(test_then_stop_ends_the_run_well),
        cmocka_unit_test(test_a_failure_that_no_entry_takes_fails_the_run),
        cmocka_unit_test(test_a_condition_of_a_catch_that_cannot_be_told_fails_the_run),
        cmocka_unit_test(test_who_needs_a_caught_step_waits_for_what_catches_it),
        cmocka_unit_test(test_a_failure_is_undone_backwards_then_told_then_cleaned_up),
        cmocka_unit_test(test_a_good_run_is_only_cleaned_up),
        cmocka_unit_test(test_a_cleaning_up_that_fails_spoils_a_good_end),
        cmocka_unit_test(test_a_telling_that_fails_keeps_neither_the_error_nor_the_cleaning_up),
        cmocka_unit_test(test_a_stop_and_a_bad_trigger_have_their_endings_too),
        cmocka_unit_test(test_undo_on_says_when),
        cmocka_unit_test(test_the_time_of_a_run_is_over_and_it_has_as_much_again_for_its_endings),
        cmocka_unit_test(test_endings_go_on_where_they_were),
        cmocka_unit_test(test_a_recorded_failure_is_not_tried_again),
        cmocka_unit_test(test_a_good_end_that_is_recorded_stays_good),
        cmocka_unit_test(test_a_catch_goes_on_where_it_was),
        cmocka_unit_test(test_a_block_whose_steps_are_all_recorded_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
