/* Steps under a named limit: they ask, wait for their turn, and give back; whatever ends them. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define LIMITS ",\"limits\":{\"llm\":40,\"crm\":0}"
#define PLUGIN "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\"}]}"
#define SUGGESTS "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\",\"limit\":\"crm\"}]}"
#define UNKNOWN "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\",\"limit\":\"nobody\"}]}"

static void begin_with(struct engine *engine, const char *plugin, const char *workflow)
{
    engine_start_with(engine, LIMITS);
    engine_load_good(engine, "plugin", plugin, "workflow", workflow, NULL);
    engine_event(engine, "{\"account\":\"acme\",\"n\":30}");
}

static void begin(struct engine *engine, const char *workflow)
{
    begin_with(engine, PLUGIN, workflow);
}

/* The next message asks for a permit; its number. */
static int64_t asked(struct engine *engine, const char *limit, const char *key, double cost)
{
    const json_t *head = engine_next(engine, BW_MSG_PERMIT_ASK)->head;
    assert_string_equal(text(head, "limit"), limit);
    assert_string_equal(text(head, "key"), key);
    assert_true(json_number_value(json_object_get(head, "cost")) == cost);
    return number(head, "permit");
}

static void given_back(struct engine *engine, int64_t permit, int64_t pause_ms)
{
    const json_t *head = engine_next(engine, BW_MSG_PERMIT_BACK)->head;
    assert_int_equal(number(head, "permit"), permit);
    assert_int_equal(number(head, "pause_ms"), pause_ms);
}

static void give(struct engine *engine, int64_t permit)
{
    engine_send(engine, BW_MSG_PERMIT, NULL, 0, "{\"permits\":[%lld]}", (long long)permit);
}

static void answer_call(struct engine *engine, const char *outcome)
{
    engine_send(engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,%s}", (long long)number(engine_next(engine, BW_MSG_CALL)->head, "call"),
                outcome);
}

static void test_an_attempt_begins_with_its_permit_and_gives_it_back_before_it_reports(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, uses: my/call@1, limit: llm}, {id: b, set: {}}]\n");
    int64_t permit = asked(&engine, "llm", "", 1);
    assert_null(engine_poll(&engine, 100)); /* no call without it */
    give(&engine, permit);
    answer_call(&engine, "\"outcome\":\"ok\"");
    given_back(&engine, permit, 0);
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

static void test_key_and_cost_are_what_their_expressions_give(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine,
          HEAD "steps: [{id: a, uses: my/call@1, limit: {name: llm, key: \"${{ event.data.account }}\", cost: \"${{ event.data.n + 0.5 }}\"}}]\n");
    asked(&engine, "llm", "acme", 30.5);
    engine_stop(&engine);
    begin(&engine, HEAD "steps: [{id: a, uses: my/call@1, limit: {name: crm, key: 7, cost: 1000}}]\n"); /* it has no rate: any cost will do */
    asked(&engine, "crm", "7", 1000);
    engine_stop(&engine);
}

static void test_what_gives_no_key_or_no_cost_fails_the_step_there(void **state)
{
    (void)state;
    static const struct {
        const char *limit, *code;
    } cases[] = {
        {"{name: llm, cost: \"${{ event.data.n + 10.5 }}\"}", "limit.cost"}, /* above the burst: its turn would never come */
        {"{name: llm, cost: \"${{ 0 - 1 }}\"}", "limit.cost"},
        {"{name: llm, cost: \"${{ event.data.none }}\"}", "limit.cost"},
        {"{name: llm, cost: \"${{ 'many' }}\"}", "limit.cost"},
        {"{name: llm, key: \"${{ event.data.none }}\"}", "limit.key"},
        {"{name: llm, key: \"${{ '' }}\"}", "limit.key"},
        {"{name: llm, key: \"${{ event.data }}\"}", "limit.key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        char workflow[300];
        snprintf(workflow, sizeof workflow, HEAD "steps:\n  - {id: a, uses: my/call@1, limit: %s}\n", cases[i].limit);
        begin(&engine, workflow);
        const json_t *step = step_at(only_run(&engine, FAILED), 0), *error = json_object_get(step, "error");
        assert_string_equal(code_of(step), cases[i].code);
        assert_int_equal(number(error, "line"), 4);
        assert_int_equal(number(step, "attempt"), 0);
        engine_stop(&engine);
    }
}

static void test_the_actions_limit_counts_last_and_only_if_there_is_one(void **state)
{
    (void)state;
    struct engine engine;
    begin_with(&engine, SUGGESTS, HEAD "steps: [{id: a, uses: my/call@1}]\n");
    asked(&engine, "crm", "", 1);
    engine_stop(&engine);
    engine_start_with(&engine, LIMITS);
    engine_load_good(&engine, "action", "return action{name = 'my/lua', version = '1.0.0', limit = 'crm', run = function() return {} end}\n",
                     "workflow", HEAD "steps: [{id: a, uses: my/lua@1}]\n", NULL);
    engine_event(&engine, "{}");
    asked(&engine, "crm", "", 1);
    engine_stop(&engine);
    begin_with(&engine, SUGGESTS, HEAD "defaults: {limit: llm}\nsteps: [{id: a, uses: my/call@1}]\n");
    asked(&engine, "llm", "", 1);
    engine_stop(&engine);
    begin_with(&engine, SUGGESTS, HEAD "defaults: {limit: llm}\nsteps: [{id: a, uses: my/call@1, limit: none}]\n");
    engine_next(&engine, BW_MSG_CALL);
    engine_stop(&engine);
    begin_with(&engine, UNKNOWN, HEAD "steps: [{id: a, uses: my/call@1}]\n");
    engine_next(&engine, BW_MSG_CALL);
    engine_stop(&engine);
}

static void test_an_unknown_limit_is_an_error_of_the_file_and_of_the_step(void **state)
{
    (void)state;
    struct engine engine;
    engine_start_with(&engine, LIMITS);
    const json_t *head = engine_load(&engine, "plugin", PLUGIN, "workflow",
                                     HEAD "defaults: {limit: lmm}\nsteps: [{id: a, uses: my/call@1}, {id: b, uses: my/call@1}]\n", NULL);
    const json_t *errors = json_object_get(head, "errors"), *error = json_array_get(errors, 0);
    assert_int_equal(json_array_size(errors), 1);
    assert_string_equal(text(error, "code"), "limit.unknown");
    assert_string_equal(text(error, "hint"), "did you mean 'llm'?");
    assert_int_equal(number(error, "line"), 3);
    assert_int_equal(number(error, "column"), 19);
    engine_event(&engine, "{}"); /* bellwire.yaml is no part of the revision: a run of it must be able to go on */
    assert_string_equal(code_of(step_at(only_run(&engine, FAILED), 0)), "limit.unknown");
    engine_stop(&engine);
}

static void test_every_attempt_asks_anew_and_retry_after_pauses_the_limit(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, uses: my/call@1, limit: llm, retry: {delay: 0s, attempts: 3, jitter: 0}}]\n");
    int64_t first = asked(&engine, "llm", "", 1);
    give(&engine, first);
    answer_call(&engine, "\"outcome\":\"retry\",\"error\":{\"code\":\"busy\",\"message\":\"no\",\"retry_after_ms\":20}");
    given_back(&engine, first, 20);
    int64_t second = asked(&engine, "llm", "", 1);
    assert_true(second != first);
    give(&engine, second);
    answer_call(&engine, "\"outcome\":\"retry\",\"error\":{\"code\":\"busy\",\"message\":\"no\"}");
    given_back(&engine, second, 0);
    int64_t third = asked(&engine, "llm", "", 1);
    give(&engine, third);
    answer_call(&engine, "\"outcome\":\"retry\",\"error\":{\"code\":\"busy\",\"message\":\"no\",\"retry_after_ms\":7000}");
    given_back(&engine, third, 7000); /* also when it is the step's last attempt: the others are still there */
    only_run(&engine, FAILED);
    engine_stop(&engine);
}

static void test_the_time_in_line_is_not_the_steps(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, timeout: 1s, max_elapsed: 2s, limit: llm, retry: {delay: 0s, attempts: 3}, lua: \"if ctx.attempt < 3 "
                        "then return ctx.retry('no') "
                        "end return {}\"}]\n");
    for (int i = 0; i < 3; i++) {
        int64_t permit = asked(&engine, "llm", "", 1);
        assert_null(engine_poll(&engine, 1100)); /* no timeout meanwhile */
        give(&engine, permit);
        given_back(&engine, permit, 0);
    }
    assert_int_equal(number(step_at(only_run(&engine, SUCCEEDED), 0), "attempt"), 3);
    engine_stop(&engine);
}

static void test_who_waits_in_line_when_the_run_ends_leaves_no_trace(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{parallel: [{id: a, uses: my/call@1, limit: llm}, {id: b, uses: my/call@1, limit: crm}]}]\n");
    int64_t first = asked(&engine, "llm", "", 1), second = asked(&engine, "crm", "", 1);
    give(&engine, second);
    answer_call(&engine, "\"outcome\":\"fail\",\"error\":{\"code\":\"no\",\"message\":\"no\"}");
    given_back(&engine, second, 0);
    given_back(&engine, first, 0);
    const json_t *run = only_run(&engine, FAILED);
    assert_int_equal(step_count(run), 1);
    assert_string_equal(text(step_at(run, 0), "path"), "b");
    give(&engine, first); /* crossed on the way: nobody wants it */
    engine_event(&engine, "{}");
    asked(&engine, "llm", "", 1);
    engine_stop(&engine);
}

static void test_a_step_without_a_limit_asks_for_nothing(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, uses: my/call@1}]\n");
    answer_call(&engine, "\"outcome\":\"ok\"");
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_attempt_begins_with_its_permit_and_gives_it_back_before_it_reports),
        cmocka_unit_test(test_key_and_cost_are_what_their_expressions_give),
        cmocka_unit_test(test_what_gives_no_key_or_no_cost_fails_the_step_there),
        cmocka_unit_test(test_the_actions_limit_counts_last_and_only_if_there_is_one),
        cmocka_unit_test(test_an_unknown_limit_is_an_error_of_the_file_and_of_the_step),
        cmocka_unit_test(test_every_attempt_asks_anew_and_retry_after_pauses_the_limit),
        cmocka_unit_test(test_the_time_in_line_is_not_the_steps),
        cmocka_unit_test(test_who_waits_in_line_when_the_run_ends_leaves_no_trace),
        cmocka_unit_test(test_a_step_without_a_limit_asks_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
