/* `heartbeat`: code that is silent for too long fails its attempt. What beats is measured in the test's own time (trial), or not at all. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define PLUGIN                                                                                        \
    "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\"}," \
    "{\"name\":\"my/long\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\",\"heartbeat\":\"7s\"}]}"
#define NOW_MS INT64_C(1767225600000)

static void begin(struct engine *engine, const char *steps)
{
    char *workflow = NULL;
    engine_start(engine);
    assert_true(asprintf(&workflow, HEAD "%s", steps) > 0);
    engine_load_good(engine, "plugin", PLUGIN, "workflow", workflow, NULL);
    free(workflow);
    engine_event(engine, "{}");
}

static int64_t heartbeat_of_next_call(struct engine *engine, int64_t *call)
{
    const json_t *head = engine_next(engine, BW_MSG_CALL)->head;
    *call = number(head, "call");
    return number(head, "heartbeat_ms");
}

static void answer_ok(struct engine *engine, int64_t call)
{
    struct bw_slice part = BW_SLICE("{}");
    engine_send(engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)call);
}

static void test_a_plugin_that_is_silent_fails_its_attempt(void **state)
{
    (void)state;
    struct engine engine;
    int64_t call, again;
    begin(&engine, "steps: [{id: a, timeout: 1h, heartbeat: 60ms, retry: {attempts: 2, delay: 0s}, uses: my/call@1}]\n");
    assert_int_equal(heartbeat_of_next_call(&engine, &call), 60);
    const json_t *told = engine_next(&engine, BW_MSG_CALL_CANCEL)->head;
    assert_int_equal(number(told, "call"), call);
    assert_int_equal(number(told, "grace_ms"), 1000);
    assert_int_equal(heartbeat_of_next_call(&engine, &again), 60); /* tried again, as any timeout */
    assert_int_equal(number(engine_next(&engine, BW_MSG_CALL_CANCEL)->head, "call"), again);
    const json_t *run = only_run(&engine, FAILED), *error = json_object_get(step_at(run, 0), "error");
    assert_string_equal(text(error, "code"), "step.heartbeat");
    assert_string_equal(text(error, "class"), "timeout");
    assert_non_null(strstr(text(error, "message"), "60ms"));
    assert_non_null(strstr(text(error, "hint"), "ctx.heartbeat()"));
    assert_int_equal(number(step_at(run, 0), "attempt"), 2);
    engine_stop(&engine);
}

static void test_whose_heartbeat_counts(void **state)
{
    static const struct {
        const char *step;
        int64_t heartbeat_ms;
    } cases[] = {{"uses: my/call@1", 0}, {"uses: my/long@1", 7000}, {"uses: my/long@1, heartbeat: 9s", 9000}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        char steps[200];
        int64_t call;
        snprintf(steps, sizeof steps, "steps: [{id: a, %s}]\n", cases[i].step);
        begin(&engine, steps);
        assert_int_equal(heartbeat_of_next_call(&engine, &call), cases[i].heartbeat_ms);
        answer_ok(&engine, call);
        only_run(&engine, SUCCEEDED);
        engine_stop(&engine);
    }
}

static void test_a_silent_at_most_once_step_is_unknown(void **state)
{
    (void)state;
    struct engine engine;
    int64_t call;
    begin(&engine, "steps: [{id: a, guarantee: at_most_once, heartbeat: 60ms, uses: my/call@1}]\n");
    engine_commit(&engine, number(engine_next(&engine, BW_MSG_REPORT)->head, "report"));
    heartbeat_of_next_call(&engine, &call);
    engine_next(&engine, BW_MSG_CALL_CANCEL);
    const json_t *step = step_at(only_run(&engine, FAILED), 0);
    assert_int_equal(number(step, "state"), 24);
    assert_non_null(strstr(text(json_object_get(step, "error"), "message"), "step.heartbeat"));
    engine_stop(&engine);
}

/* Beats of calls that have ended, or were never made, are nobody's. */
static void test_a_beat_of_no_call_changes_nothing(void **state)
{
    (void)state;
    struct engine engine;
    int64_t call;
    begin(&engine, "steps: [{id: a, heartbeat: 10s, uses: my/call@1}]\n");
    heartbeat_of_next_call(&engine, &call);
    engine_send(&engine, BW_MSG_CALL_BEAT, NULL, 0, "{\"call\":%lld}", (long long)call + 5);
    engine_send(&engine, BW_MSG_CALL_BEAT, NULL, 0, "{}");
    answer_ok(&engine, call);
    engine_send(&engine, BW_MSG_CALL_BEAT, NULL, 0, "{\"call\":%lld}", (long long)call);
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

/* However long it works, and whatever else the machine does: each of these beats comes long before a second is over. */
static void test_a_plugin_that_beats_goes_on(void **state)
{
    (void)state;
    struct engine engine;
    int64_t call;
    begin(&engine, "steps: [{id: a, heartbeat: 1s, retry: {attempts: 1}, uses: my/call@1}]\n");
    heartbeat_of_next_call(&engine, &call);
    for (int64_t end_us = bw_clock_mono_us() + 2500000; bw_clock_mono_us() < end_us;) {
        engine_send(&engine, BW_MSG_CALL_BEAT, NULL, 0, "{\"call\":%lld}", (long long)call);
        assert_false(engine_fill(&engine, 20)); /* it says nothing */
    }
    answer_ok(&engine, call);
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

/* ---- Lua, in a time that only passes when this test says so ---- */

/* Until the run has reported; each quiet is answered with the time of the next timer. */
static const json_t *run_in_trial(struct engine *engine, const char *code, const char *more, int state)
{
    char *workflow = NULL;
    engine_start_with(engine, ",\"trial\":true");
    assert_true(asprintf(&workflow, HEAD "steps:\n  - id: a\n    timeout: 1h\n    retry: {attempts: 1}\n%s    lua: |\n      %s\n", more, code) > 0);
    engine_load_good(engine, "workflow", workflow, NULL);
    free(workflow);
    engine_send(engine, BW_MSG_TRIAL, NULL, 0, "{\"now_ms\":%lld,\"ask\":1,\"workflow\":\"w\",\"mocks\":{}}", (long long)NOW_MS);
    engine_next(engine, BW_MSG_QUIET);
    engine_event(engine, "{}");
    engine_send(engine, BW_MSG_TRIAL, NULL, 0, "{\"now_ms\":%lld,\"ask\":2}", (long long)NOW_MS);
    for (;;) {
        const struct answer *answer = engine_poll(engine, PATIENCE_MS);
        assert_non_null(answer);
        if (answer->type == BW_MSG_REPORT) {
            assert_int_equal(number(run_at(answer, 0), "state"), state);
            return run_at(answer, 0);
        }
        if (answer->type == BW_MSG_QUIET)
            engine_send(engine, BW_MSG_TRIAL, NULL, 0, "{\"now_ms\":%lld,\"ask\":3}", (long long)number(answer->head, "due_ms"));
    }
}

static void test_lua_code_that_beats_goes_on(void **state)
{
    (void)state;
    struct engine engine;
    run_in_trial(&engine, "for i = 1, 20 do ctx.sleep(29) ctx.heartbeat() end return {}", "    heartbeat: 30s\n", SUCCEEDED);
    engine_stop(&engine);
    run_in_trial(&engine, "ctx.sleep(600) return {}", "", SUCCEEDED); /* it need not */
    engine_stop(&engine);
}

static void test_lua_code_that_is_silent_fails_its_attempt(void **state)
{
    static const char *const codes[] = {"ctx.sleep(31) return {}", "ctx.sleep(29) ctx.heartbeat() ctx.sleep(31) return {}"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct engine engine;
        const json_t *run = run_in_trial(&engine, codes[i], "    heartbeat: 30s\n", FAILED);
        assert_string_equal(code_of(run), "step.heartbeat");
        assert_int_equal(number(step_at(run, 0), "ended_ms") - number(step_at(run, 0), "started_ms"), i ? 59000 : 30000);
        engine_stop(&engine);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plugin_that_is_silent_fails_its_attempt),
        cmocka_unit_test(test_whose_heartbeat_counts),
        cmocka_unit_test(test_a_silent_at_most_once_step_is_unknown),
        cmocka_unit_test(test_a_beat_of_no_call_changes_nothing),
        cmocka_unit_test(test_a_plugin_that_beats_goes_on),
        cmocka_unit_test(test_lua_code_that_beats_goes_on),
        cmocka_unit_test(test_lua_code_that_is_silent_fails_its_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
