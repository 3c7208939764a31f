/* `guarantee: at_most_once` and `effect`: what is on disk before a call is made, and what becomes of a step of which nobody knows what it has done.
 */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define ONCE "guarantee: at_most_once"
#define PLUGIN                                                                                        \
    "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\"}," \
    "{\"name\":\"my/look\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\",\"effect\":\"read\"}]}"

enum { STARTED = 4, UNKNOWN = 24 };

static void begin(struct engine *engine, const char *workflow)
{
    engine_start(engine);
    engine_load_good(
        engine, "action",
        "return action{name = 'my/calm', version = '1.0.0', effect = 'none', run = function(ctx, input) ctx.log('calm') return {} end}\n", "workflow",
        workflow, NULL);
}

static const struct answer *report_with_ack(struct engine *engine)
{
    const struct answer *report = engine_next(engine, BW_MSG_REPORT);
    assert_true(json_is_true(json_object_get(report->head, "ack")));
    assert_false(json_is_true(json_object_get(report->head, "done")));
    return report;
}

static void commit(struct engine *engine, const struct answer *report)
{
    engine_commit(engine, number(report->head, "report"));
}

/* The run as an earlier worker has left it: one step. */
static void take_up(struct engine *engine, const char *path, int state, const char *more)
{
    char head[500];
    snprintf(head, sizeof head,
             ",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"lost\":0,\"steps\":[{\"path\":\"%s\",\"state\":%d,\"attempt\":1,\"started_ms\":5%s}]}]",
             run_of("w"), path, state, more);
    engine_event_with(engine, "{}", head, NULL, 0);
}

static void test_an_attempt_is_on_disk_before_its_call_is_made(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, " ONCE ", lua: \"ctx.log('called') return {n = ctx.attempt}\"}]\n");
    engine_event(&engine, "{}");
    const struct answer *report = report_with_ack(&engine);
    const json_t *step = step_at(run_at(report, 0), 0);
    assert_int_equal(number(step, "state"), STARTED);
    assert_int_equal(number(step, "attempt"), 1);
    assert_true(number(step, "started_ms") > 0);
    int64_t started = number(report->head, "report");
    engine_send(&engine, BW_MSG_CATALOG, NULL, 0, "{\"revision\":2,\"files\":[]}"); /* what comes before the answer to this it does without waiting */
    engine_next(&engine, BW_MSG_CATALOG_LOADED);
    assert_int_equal(engine.logs, 0);
    engine_commit(&engine, started);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(engine.logs, 1);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"n\":1}");
    engine_stop(&engine);
}

static void test_what_it_depends_on_is_committed_with_it(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, lua: \"ctx.log('a') return {}\"}, {id: b, " ONCE ", lua: \"ctx.log('b') return {}\"}]\n");
    engine_event(&engine, "{}");
    const struct answer *report = report_with_ack(&engine);
    const json_t *run = run_at(report, 0);
    assert_int_equal(step_count(run), 2);
    assert_int_equal(number(step_at(run, 0), "state"), SUCCEEDED);
    assert_int_equal(number(step_at(run, 1), "state"), STARTED);
    assert_string_equal(text(engine.last_log, "message"), "a");
    commit(&engine, report);
    assert_int_equal(step_count(only_run(&engine, SUCCEEDED)), 1);
    assert_string_equal(text(engine.last_log, "message"), "b");
    engine_stop(&engine);
}

static void test_one_that_has_begun_does_not_hold_back_the_steps_beside_it(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{parallel: [{id: a, " ONCE ", lua: \"ctx.log('a') return {}\"}, {id: b, lua: \"ctx.log('b') return {}\"}]}]\n");
    engine_event(&engine, "{}");
    const struct answer *report = report_with_ack(&engine);
    assert_int_equal(step_count(run_at(report, 0)), 1);
    commit(&engine, report);
    only_run(&engine, SUCCEEDED); /* b has waited for nothing */
    assert_int_equal(engine.logs, 2);
    engine_stop(&engine);
}

static void test_one_that_is_found_started_is_unknown_and_never_called(void **state)
{
    static const char *const more[] = {"", ",\"again\":true"}; /* also when its run was resumed all the same */
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct engine engine;
        begin(&engine, HEAD "steps: [{id: a, " ONCE ", lua: \"ctx.log('called') return {}\"}, {id: b, lua: \"ctx.log('b') return {}\"}]\n");
        take_up(&engine, "a", STARTED, more[i]);
        const json_t *run = only_run(&engine, FAILED), *step = step_at(run, 0);
        assert_int_equal(number(step, "state"), UNKNOWN);
        assert_int_equal(number(step, "attempt"), 1);
        assert_string_equal(code_of(step), "step.unknown");
        assert_string_equal(code_of(run), "step.unknown");
        assert_string_equal(text(json_object_get(run, "error"), "step"), "a");
        assert_non_null(strstr(text(json_object_get(run, "error"), "hint"), "bellwire runs resolve run_"));
        assert_int_equal(step_count(run), 1);
        assert_int_equal(engine.logs, 0);
        engine_stop(&engine);
    }
}

static void test_a_recorded_unknown_stays_unknown(void **state)
{
    static const char *const more[] = {",\"error\":{\"code\":\"step.unknown\",\"message\":\"m\"}",
                                       ",\"again\":true,\"error\":{\"code\":\"step.unknown\",\"message\":\"m\"}"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct engine engine;
        begin(&engine, HEAD "steps: [{id: a, " ONCE ", lua: \"ctx.log('called') return {}\"}]\n");
        take_up(&engine, "a", UNKNOWN, more[i]);
        const json_t *run = only_run(&engine, FAILED);
        assert_int_equal(step_count(run), 0);
        assert_string_equal(code_of(run), "step.unknown");
        assert_int_equal(engine.logs, 0);
        engine_stop(&engine);
    }
}

static void test_catch_takes_it_when_it_is_on_disk(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps:\n"
                        "  - id: a\n    " ONCE "\n    lua: ctx.log('called') return {}\n"
                        "    catch:\n      - {if: \"error.code == 'step.unknown'\", steps: [{id: ask, lua: \"ctx.log('ask') return {}\"}]}\n"
                        "  - {id: b, set: {status: \"${{ status('a') }}\"}}\n");
    take_up(&engine, "a", STARTED, "");
    const struct answer *report = report_with_ack(&engine);
    assert_int_equal(number(step_at(run_at(report, 0), 0), "state"), UNKNOWN);
    assert_int_equal(engine.logs, 0);
    commit(&engine, report);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(text(engine.last_log, "message"), "ask");
    assert_string_equal(output(&engine.answer, step_at(run, 1)), "{\"status\":\"unknown\"}");
    engine_stop(&engine);
}

static void test_on_error_continue_goes_on_behind_it(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps:\n  - {id: a, on_error: continue, " ONCE ", lua: \"ctx.log('called') return {}\"}\n"
                        "  - {id: b, set: {ok: \"${{ ok('a') }}\", status: \"${{ status('a') }}\", code: \"${{ err('a').code }}\"}}\n");
    take_up(&engine, "a", STARTED, "");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(number(step_at(run, 0), "state"), UNKNOWN);
    assert_string_equal(output(&engine.answer, step_at(run, 1)), "{\"ok\":false,\"status\":\"unknown\",\"code\":\"step.unknown\"}");
    assert_int_equal(engine.logs, 0);
    engine_stop(&engine);
}

/* Behind the end of the steps it is a failure as any other: a good run is spoiled by it. */
static void test_one_of_finally_spoils_a_good_end(void **state)
{
    (void)state;
    struct engine engine;
    char more[400];
    begin(&engine, HEAD "steps: [{id: a, set: {x: 1}}]\nfinally: [{id: b, " ONCE ", lua: \"ctx.log('called') return {}\"}]\n");
    snprintf(
        more, sizeof more,
        ",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"lost\":0,\"steps\":[{\"path\":\"a\",\"state\":20,\"attempt\":1},{\"path\":\"~main\",\"state\":20,"
        "\"attempt\":0},{\"path\":\"b\",\"state\":4,\"attempt\":1}]}]",
        run_of("w"));
    engine_event_with(&engine, "{}", more, NULL, 0);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "step.unknown");
    assert_int_equal(step_count(run), 1);
    assert_int_equal(number(step_at(run, 0), "state"), UNKNOWN);
    assert_int_equal(engine.logs, 0);
    engine_stop(&engine);
}

static void test_what_says_itself_that_nothing_happened_is_tried_again(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine,
          HEAD "steps: [{id: a, " ONCE
               ", retry: {attempts: 2, delay: 0s}, lua: \"ctx.log('called') if ctx.attempt == 1 then return ctx.retry('no') end return {}\"}]\n");
    engine_event(&engine, "{}");
    commit(&engine, report_with_ack(&engine));
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT); /* after a crash now it is tried again, too */
    assert_int_equal(number(step_at(run_at(report, 0), 0), "state"), RETRYING);
    report = report_with_ack(&engine);
    assert_int_equal(number(step_at(run_at(report, 0), 0), "state"), STARTED);
    assert_int_equal(number(step_at(run_at(report, 0), 0), "attempt"), 2);
    assert_int_equal(engine.logs, 1);
    commit(&engine, report);
    only_run(&engine, SUCCEEDED);
    assert_int_equal(engine.logs, 2);
    engine_stop(&engine);
}

static void test_an_attempt_that_took_too_long_is_not_tried_again(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, " ONCE ", timeout: 20ms, retry: {attempts: 5, delay: 0s, on: any}, lua: \"ctx.sleep(60) return {}\"}]\n");
    engine_event(&engine, "{}");
    commit(&engine, report_with_ack(&engine));
    const json_t *run = only_run(&engine, FAILED), *step = step_at(run, 0);
    assert_int_equal(number(step, "state"), UNKNOWN);
    assert_int_equal(number(step, "attempt"), 1);
    assert_non_null(strstr(text(json_object_get(step, "error"), "message"), "step.timeout"));
    engine_stop(&engine);
}

static void test_code_that_fails_before_it_sends_anything_has_failed(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, " ONCE ", lua: \"error('bug') ctx.log('x')\"}]\n");
    engine_event(&engine, "{}");
    commit(&engine, report_with_ack(&engine));
    const json_t *run = only_run(&engine, FAILED);
    assert_int_equal(number(step_at(run, 0), "state"), FAILED);
    assert_string_equal(code_of(run), "lua.error");
    engine_stop(&engine);
}

static void test_a_plugin_says_whether_it_knows(void **state)
{
    static const struct {
        const char *result;
        int step_state;
    } cases[] = {{"\"outcome\":\"retry\",\"doubtful\":true,\"error\":{\"code\":\"http.network\",\"message\":\"m\"}", UNKNOWN},
                 {"\"outcome\":\"fail\",\"doubtful\":true,\"error\":{\"code\":\"http.too_large\",\"message\":\"m\"}", UNKNOWN},
                 {"\"outcome\":\"fail\",\"error\":{\"code\":\"http.status\",\"message\":\"m\"}", FAILED},
                 {"\"outcome\":\"ok\",\"output_part\":9", SUCCEEDED}}; /* no such part: {} */
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        engine_start(&engine);
        engine_load_good(&engine, "plugin", PLUGIN, "workflow", HEAD "steps: [{id: a, " ONCE ", retry: {delay: 0s}, uses: my/call@1}]\n", NULL);
        engine_event(&engine, "{}");
        commit(&engine, report_with_ack(&engine));
        const json_t *call = engine_next(&engine, BW_MSG_CALL)->head;
        assert_true(json_is_true(json_object_get(call, "once")));
        engine_send(&engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,%s}", (long long)number(call, "call"), cases[i].result);
        const json_t *run = only_run(&engine, cases[i].step_state == SUCCEEDED ? SUCCEEDED : FAILED);
        assert_int_equal(number(step_at(run, 0), "state"), cases[i].step_state);
        assert_int_equal(number(step_at(run, 0), "attempt"), 1);
        engine_stop(&engine);
    }
}

/* One that was not called yet has done nothing; of one that was, nobody knows it. */
static void test_what_the_run_ends_is_cancelled_or_unknown(void **state)
{
    (void)state;
    for (int is_called = 0; is_called < 2; is_called++) {
        struct engine engine;
        engine_start(&engine);
        engine_load_good(&engine, "plugin", PLUGIN, "workflow",
                         HEAD "fail_fast: true\nsteps: [{parallel: [{id: a, " ONCE ", uses: my/call@1}, {id: b, uses: my/look@1}]}]\n", NULL);
        engine_event(&engine, "{}");
        const struct answer *report = report_with_ack(&engine);
        int64_t number_of_report = number(report->head, "report"), called = 0;
        int64_t look = number(engine_next(&engine, BW_MSG_CALL)->head, "call");
        if (is_called) {
            engine_commit(&engine, number_of_report);
            called = number(engine_next(&engine, BW_MSG_CALL)->head, "call");
        }
        engine_send(&engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"fail\",\"error\":{\"code\":\"no\",\"message\":\"m\"}}",
                    (long long)look);
        if (is_called) {
            engine_next(&engine, BW_MSG_CALL_CANCEL);
            engine_send(&engine, BW_MSG_CALL_RESULT, NULL, 0,
                        "{\"call\":%lld,\"outcome\":\"fail\",\"doubtful\":true,\"error\":{\"code\":\"no\",\"message\":\"m\"}}", (long long)called);
        }
        const json_t *run = only_run(&engine, FAILED);
        assert_string_equal(code_of(run), "no");
        assert_string_equal(text(step_at(run, 0), "path"), "a");
        assert_int_equal(number(step_at(run, 0), "state"), is_called ? UNKNOWN : CANCELLED);
        assert_string_equal(code_of(step_at(run, 0)), is_called ? "step.unknown" : "");
        engine_stop(&engine);
    }
}

static void test_effect_moves_the_barrier(void **state)
{
    static const struct {
        const char *step;
        bool waits;
    } cases[] = {{"{id: b, lua: \"ctx.log('b') return {}\"}", true},
                 {"{id: b, effect: read, lua: \"ctx.log('b') return {}\"}", false},
                 {"{id: b, effect: none, lua: \"ctx.log('b') return {}\"}", false},
                 {"{id: b, uses: my/calm@1}", false},
                 {"{id: b, effect: write, uses: my/calm@1}", true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        char workflow[300];
        snprintf(workflow, sizeof workflow, HEAD "steps: [{id: a, lua: \"ctx.log('a') return {}\"}, %s]\n", cases[i].step);
        begin(&engine, workflow);
        engine_event(&engine, "{}");
        if (cases[i].waits) {
            const struct answer *report = report_with_ack(&engine);
            assert_int_equal(engine.logs, 1);
            commit(&engine, report);
        }
        only_run(&engine, SUCCEEDED);
        assert_int_equal(engine.logs, 2);
        engine_stop(&engine);
    }
}

/* A result without an effect is computed again after a crash; what was read may be another one then: it has to be on disk first. */
static void test_what_was_read_is_on_disk_before_the_effect_behind_it(void **state)
{
    (void)state;
    for (int reads = 0; reads < 2; reads++) {
        struct engine engine;
        char workflow[300];
        snprintf(workflow, sizeof workflow,
                 HEAD "steps: [{id: a, effect: %s, lua: \"ctx.log('a') return {}\"}, {id: b, lua: \"ctx.log('b') return {}\"}]\n",
                 reads ? "read" : "none");
        begin(&engine, workflow);
        engine_event(&engine, "{}");
        if (reads) commit(&engine, report_with_ack(&engine));
        only_run(&engine, SUCCEEDED);
        engine_stop(&engine);
    }
}

static void test_an_action_without_an_effect_needs_no_guarantee(void **state)
{
    static const char action[] = "return action{name = 'my/calm', version = '1.0.0', effect = 'read', run = function(ctx, input) return {} end}\n";
    (void)state;
    struct engine engine;
    engine_start(&engine);
    const json_t *head = engine_load(&engine, "action", action, "workflow", HEAD "steps: [{id: a, " ONCE ", uses: my/calm@1}]\n", NULL);
    const json_t *error = json_array_get(json_object_get(head, "errors"), 0);
    assert_string_equal(text(error, "code"), "step.guarantee");
    assert_non_null(strstr(text(error, "hint"), "effect: write"));
    engine_stop(&engine);
    engine_start(&engine);
    engine_load_good(&engine, "action", action, "workflow", HEAD "steps: [{id: a, effect: write, " ONCE ", uses: my/calm@1}]\n", NULL);
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_attempt_is_on_disk_before_its_call_is_made),
        cmocka_unit_test(test_what_it_depends_on_is_committed_with_it),
        cmocka_unit_test(test_one_that_has_begun_does_not_hold_back_the_steps_beside_it),
        cmocka_unit_test(test_one_that_is_found_started_is_unknown_and_never_called),
        cmocka_unit_test(test_a_recorded_unknown_stays_unknown),
        cmocka_unit_test(test_catch_takes_it_when_it_is_on_disk),
        cmocka_unit_test(test_on_error_continue_goes_on_behind_it),
        cmocka_unit_test(test_one_of_finally_spoils_a_good_end),
        cmocka_unit_test(test_what_says_itself_that_nothing_happened_is_tried_again),
        cmocka_unit_test(test_an_attempt_that_took_too_long_is_not_tried_again),
        cmocka_unit_test(test_code_that_fails_before_it_sends_anything_has_failed),
        cmocka_unit_test(test_a_plugin_says_whether_it_knows),
        cmocka_unit_test(test_what_the_run_ends_is_cancelled_or_unknown),
        cmocka_unit_test(test_effect_moves_the_barrier),
        cmocka_unit_test(test_what_was_read_is_on_disk_before_the_effect_behind_it),
        cmocka_unit_test(test_an_action_without_an_effect_needs_no_guarantee),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
