/* `repeat`: the step is run until its output says so. It is a call of a plugin that this test plays. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define PLUGIN "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\",\"inputs\":{}}]}"
#define POLL(more) "steps: [{id: a, uses: my/call@1, repeat: {until: \"${{ result.done }}\", " more "}}]\noutputs: {n: \"${{ steps.a.n }}\"}\n"

static void load(struct engine *engine, const char *steps)
{
    char *workflow = NULL;
    engine_start(engine);
    assert_true(asprintf(&workflow, HEAD "%s", steps) > 0);
    engine_load_good(engine, "plugin", PLUGIN, "workflow", workflow, NULL);
    free(workflow);
}

struct seen { /* of the calls so far */
    char keys[8][64];
    size_t count;
};

static void give(struct engine *engine, struct seen *seen, const char *result)
{
    const struct answer *answer;
    while ((answer = engine_poll(engine, PATIENCE_MS)) && answer->type == BW_MSG_REPORT) engine_commit(engine, number(answer->head, "report"));
    if (!answer) fail_msg("no call came");
    assert_int_equal(answer->type, BW_MSG_CALL);
    snprintf(seen->keys[seen->count++], sizeof seen->keys[0], "%s", text(answer->head, "key"));
    int64_t call = number(answer->head, "call");
    struct bw_slice part = bw_slice_of(result);
    if (*result == '!')
        engine_send(engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"retry\",\"error\":{\"code\":\"busy\",\"message\":\"busy\"}}",
                    (long long)call);
    else
        engine_send(engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)call);
}

static void test_a_step_is_repeated_until_it_is_so_each_time_under_its_own_key(void **state)
{
    (void)state;
    struct engine engine;
    struct seen seen = {.count = 0};
    load(&engine, POLL("every: 1ms"));
    engine_event(&engine, "{}");
    give(&engine, &seen, "{\"done\":false,\"n\":1}");
    give(&engine, &seen, "{\"n\":2}"); /* nil is not yet */
    give(&engine, &seen, "{\"done\":true,\"n\":3}");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"n\":3}");
    assert_string_not_equal(seen.keys[0], seen.keys[1]);
    assert_string_not_equal(seen.keys[1], seen.keys[2]);
    engine_stop(&engine);
}

static void test_an_iteration_has_its_attempts_under_one_key(void **state)
{
    (void)state;
    struct engine engine;
    struct seen seen = {.count = 0};
    load(&engine, "defaults: {retry: {attempts: 2, delay: 1ms}}\n" POLL("every: 1ms"));
    engine_event(&engine, "{}");
    give(&engine, &seen, "!");
    give(&engine, &seen, "{}");
    give(&engine, &seen, "!"); /* its own two attempts */
    give(&engine, &seen, "{\"done\":true}");
    only_run(&engine, SUCCEEDED);
    assert_string_equal(seen.keys[0], seen.keys[1]);
    assert_string_equal(seen.keys[2], seen.keys[3]);
    assert_string_not_equal(seen.keys[1], seen.keys[2]);
    engine_stop(&engine);
}

static void test_what_never_comes_is_given_up(void **state)
{
    (void)state;
    struct engine engine;
    struct seen seen = {.count = 0};
    load(&engine, POLL("every: 1ms, max: 2"));
    engine_event(&engine, "{}");
    give(&engine, &seen, "{}");
    give(&engine, &seen, "{}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "repeat.exhausted");
    engine_stop(&engine);
}

static void test_a_condition_that_cannot_be_told_fails_the_step(void **state)
{
    (void)state;
    struct engine engine;
    struct seen seen = {.count = 0};
    load(&engine, POLL("every: 1ms"));
    engine_event(&engine, "{}");
    give(&engine, &seen, "{\"done\":3}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "expr.not_boolean");
    engine_stop(&engine);
}

static void test_a_long_wait_parks_the_run_and_it_goes_on_with_its_iteration(void **state)
{
    (void)state;
    struct engine engine;
    struct seen seen = {.count = 0};
    char more[700];
    load(&engine, POLL("every: 1h, max: 2"));
    engine_event(&engine, "{}");
    give(&engine, &seen, "{}");
    const struct answer *answer = engine_next(&engine, BW_MSG_REPORT);
    const json_t *run = run_at(answer, 0), *step = step_at(run, 0);
    assert_int_equal(number(run, "state"), 3);
    assert_int_equal(number(step, "state"), 2);
    assert_string_equal(output(answer, step), "{\"iteration\":1}");
    engine_stop(&engine);

    const struct bw_slice recorded = BW_SLICE("{\"iteration\":1}");
    load(&engine, POLL("every: 1h, max: 2"));
    snprintf(more, sizeof more,
             ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"steps\":[{\"path\":\"a\",\"state\":2,\"attempt\":0,"
             "\"output_part\":2,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":1,\"event\":0}}]}]",
             run_of("w"));
    engine_event_with(&engine, "{}", more, &recorded, 1);
    give(&engine, &seen, "{}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "repeat.exhausted"); /* that was the second one */
    assert_string_not_equal(seen.keys[0], seen.keys[1]);
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step_is_repeated_until_it_is_so_each_time_under_its_own_key),
        cmocka_unit_test(test_an_iteration_has_its_attempts_under_one_key),
        cmocka_unit_test(test_what_never_comes_is_given_up),
        cmocka_unit_test(test_a_condition_that_cannot_be_told_fails_the_step),
        cmocka_unit_test(test_a_long_wait_parks_the_run_and_it_goes_on_with_its_iteration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
