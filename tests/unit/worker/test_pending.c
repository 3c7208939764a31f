/* Steps whose result is posted by somebody else: what is reported, what the link says, and what comes of an answer and of time. */
#include "base/codec.h"
#include "fake_engine.h"
#include "wire/approval_token.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define PLUGIN                                                                                                                                     \
    "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\"},{\"name\":\"my/order\",\"version\":\"1.0.0\"," \
    "\"doc\":\"is answered by the test\",\"outputs\":{\"n\":{\"type\":\"integer\",\"required\":true}}}]}"
#define KEY "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define URL "https://hooks.example"

enum { WAITING = 3, UNKNOWN = 24 };

static void begin(struct engine *engine, const char *workflow)
{
    char *whole = NULL;
    engine_start_with(engine, ",\"approval_key\":\"" KEY "\",\"public_url\":\"" URL "\"");
    assert_true(asprintf(&whole, HEAD "%s", workflow) > 0);
    engine_load_good(engine, "plugin", PLUGIN, "workflow", whole, NULL);
    free(whole);
    engine_event(engine, "{\"page\":\"p-1\"}");
}

static void resume(struct engine *engine, const char *step, const char *wake)
{
    char *more = NULL;
    assert_true(asprintf(&more,
                         ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"steps\":[{\"path\":"
                         "\"a\",\"state\":3,\"started_ms\":%lld%s,\"wake\":{\"arm\":0,\"at_ms\":5,%s}}]}]",
                         run_of("w"), (long long)bw_clock_wall_ms() - 60000, (long long)bw_clock_wall_ms() - 60000, step, wake) > 0);
    engine_event_with(engine, "{\"page\":\"p-1\"}", more, NULL, 0);
    free(more);
}
#define WAITED ",\"attempt\":1,\"due_ms\":9000000000000"
#define POSTED(what, form) "\"kind\":3,\"choice\":\"" what "\",\"by\":\"0.1.5\",\"form\":" form

static int64_t next_call(struct engine *engine, char *url, size_t size)
{
    const json_t *head = engine_next(engine, BW_MSG_CALL)->head;
    if (url) snprintf(url, size, "%s", text(head, "callback_url"));
    return number(head, "call");
}

static void pend(struct engine *engine, int64_t call, int64_t within_ms)
{
    engine_send(engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"pending\",\"within_ms\":%lld}", (long long)call,
                (long long)within_ms);
}

static struct bw_callback_turn turn_of(const char *url, struct bw_approval_token *token)
{
    uint8_t key[BW_APPROVAL_KEY_BYTES];
    struct bw_callback_turn turn;
    size_t len;
    assert_true(bw_hex_decode(BW_SLICE(KEY), false, key, sizeof key, &len));
    assert_true(!strncmp(url, URL BW_CALLBACK_PATH, strlen(URL BW_CALLBACK_PATH)));
    assert_true(bw_callback_token_read(bw_slice_of(url + strlen(URL BW_CALLBACK_PATH)), key, token, &turn));
    return turn;
}

static void test_it_parks_and_its_link_says_which_attempt(void **state)
{
    (void)state;
    struct engine engine;
    struct bw_approval_token token;
    char url[400], uid[BW_UID_TEXT];
    begin(&engine, "steps: [{id: a, retry: {delay: 0s}, uses: my/order@1}]\n");
    int64_t call = next_call(&engine, url, sizeof url), before_ms = bw_clock_wall_ms();
    struct bw_callback_turn turn = turn_of(url, &token);
    assert_true(turn.iteration == 0 && turn.attempt == 1 && turn.started_ms > 0);
    assert_string_equal(bw_uid_text(token.run, BW_UID_RUN, uid), run_of("w"));
    assert_string_equal(token.step, "a");
    engine_send(&engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"retry\",\"error\":{\"code\":\"x\",\"message\":\"m\"}}",
                (long long)call);
    call = next_call(&engine, url, sizeof url);
    assert_int_equal(turn_of(url, &token).attempt, 2);
    pend(&engine, call, 7200000);
    const json_t *step = step_at(only_run(&engine, PARKED), 0);
    assert_int_equal(number(step, "state"), WAITING);
    assert_int_equal(number(step, "attempt"), 2);
    assert_string_equal(code_of(step), "");
    assert_true(number(step, "due_ms") >= before_ms + 7200000 && number(step, "due_ms") <= bw_clock_wall_ms() + 7200000);
    assert_string_equal(output(&engine.answer, step),
                        "{\"callback\":true,\"iteration\":0,\"outputs\":{\"n\":{\"type\":\"integer\",\"required\":true}}}");
    engine_stop(&engine);
}

/* There is always a time that ends it: the run's, max_elapsed of the step, or its own. */
static void test_how_long_it_waits(void **state)
{
    static const struct {
        const char *step;
        int64_t within_ms, due_in_ms;
    } cases[] = {{"", 0, 7200000},
                 {"", 3600000, 3600000},
                 {"", 9000000, 7200000},
                 {"max_elapsed: 1h, ", 0, 3600000},
                 {"max_elapsed: 1h, ", 60000, 60000},
                 {"max_elapsed: 1h, ", 7000000, 3600000}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        char workflow[200];
        int64_t before_ms = bw_clock_wall_ms();
        snprintf(workflow, sizeof workflow, "timeout: 2h\nsteps: [{id: a, %suses: my/call@1}]\n", cases[i].step);
        begin(&engine, workflow);
        pend(&engine, next_call(&engine, NULL, 0), cases[i].within_ms);
        int64_t due_ms = number(step_at(only_run(&engine, PARKED), 0), "due_ms");
        assert_true(due_ms >= before_ms + cases[i].due_in_ms && due_ms <= bw_clock_wall_ms() + cases[i].due_in_ms);
        engine_stop(&engine);
    }
}

static void test_what_is_posted_is_the_result(void **state)
{
    static const struct {
        const char *step, *wake;
        int state;
        const char *wanted;
    } cases[] = {
        {"uses: my/order@1", POSTED("output", "{\"n\":3}"), SUCCEEDED, "{\"n\":3}"},
        {"uses: my/order@1, outputs: {twice: \"${{ result.n * 2 }}\"}", POSTED("output", "{\"n\":3}"), SUCCEEDED, "{\"twice\":6}"},
        {"uses: my/order@1", POSTED("output", "{\"n\":\"x\"}"), FAILED, "output.type"}, /* the action has another version since */
        {"uses: my/call@1", POSTED("error", "{\"code\":\"lab.fire\",\"message\":\"m\"}"), FAILED, "lab.fire"},
        {"uses: my/call@1, retry: {attempts: 1}", POSTED("error", "{\"code\":\"lab.busy\",\"retry\":true}"), FAILED, "lab.busy"},
        {"uses: my/call@1, retry: {attempts: 1}", "\"kind\":1", FAILED, "callback.timeout"},
        {"guarantee: at_most_once, uses: my/call@1", "\"kind\":1", UNKNOWN, "step.unknown"},
        {"guarantee: at_most_once, uses: my/call@1", POSTED("error", "{\"code\":\"lab.fire\"}"), FAILED, "lab.fire"},
        {"lua: return ctx.pending()", POSTED("output", "{\"any\":[1]}"), SUCCEEDED, "{\"any\":[1]}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        char workflow[300];
        engine_start_with(&engine, ",\"approval_key\":\"" KEY "\",\"public_url\":\"" URL "\"");
        snprintf(workflow, sizeof workflow, HEAD "steps: [{id: a, %s}]\n", cases[i].step);
        engine_load_good(&engine, "plugin", PLUGIN, "workflow", workflow, NULL);
        resume(&engine, WAITED, cases[i].wake);
        const json_t *run = only_run(&engine, cases[i].state == SUCCEEDED ? SUCCEEDED : FAILED), *step = step_at(run, 0);
        assert_int_equal(number(step, "state"), cases[i].state);
        assert_string_equal(cases[i].state == SUCCEEDED ? output(&engine.answer, step) : code_of(step), cases[i].wanted);
        assert_int_equal(number(step, "attempt"), 1);
        engine_stop(&engine);
    }
}

/* The attempt was of another process: the inputs of the next one are rendered anew, and nothing is left of the time that was waited for. */
static void test_a_failure_that_may_pass_is_tried_again(void **state)
{
    static const char *const wakes[] = {POSTED("error", "{\"code\":\"lab.busy\",\"retry\":true}"), "\"kind\":1"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct engine engine;
        struct bw_approval_token token;
        char url[400];
        engine_start_with(&engine, ",\"approval_key\":\"" KEY "\",\"public_url\":\"" URL "\"");
        engine_load_good(&engine, "plugin", PLUGIN, "workflow",
                         HEAD "steps: [{id: a, retry: {delay: 10ms}, uses: my/call@1, with: {page: \"${{ event.data.page }}\"}}]\n", NULL);
        resume(&engine, WAITED, wakes[i]);
        const struct answer *answer = engine_next(&engine, BW_MSG_CALL);
        assert_true(bw_slice_is(answer->parts[0], "{\"page\":\"p-1\"}"));
        assert_int_equal(number(answer->head, "attempt"), 2);
        snprintf(url, sizeof url, "%s", text(answer->head, "callback_url"));
        assert_int_equal(turn_of(url, &token).attempt, 2);
        int64_t call = number(answer->head, "call");
        struct bw_slice part = BW_SLICE("{}");
        engine_send(&engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)call);
        assert_int_equal(number(step_at(only_run(&engine, SUCCEEDED), 0), "attempt"), 2);
        engine_stop(&engine);
    }
}

static void test_a_retry_that_is_far_away_parks_without_the_old_time(void **state)
{
    (void)state;
    struct engine engine;
    engine_start_with(&engine, ",\"approval_key\":\"" KEY "\",\"public_url\":\"" URL "\"");
    engine_load_good(&engine, "plugin", PLUGIN, "workflow", HEAD "steps: [{id: a, retry: {delay: 1h, jitter: 0}, uses: my/call@1}]\n", NULL);
    resume(&engine, WAITED, POSTED("error", "{\"code\":\"lab.busy\",\"retry\":true}"));
    const json_t *step = step_at(only_run(&engine, PARKED), 0);
    assert_int_equal(number(step, "state"), RETRYING);
    assert_true(number(step, "due_ms") <= bw_clock_wall_ms() + 3600000);
    assert_string_equal(code_of(step), "lab.busy");
    engine_stop(&engine);
}

static void test_the_time_of_a_repeat_is_in_its_link_and_its_row(void **state)
{
    (void)state;
    struct engine engine;
    struct bw_approval_token token;
    char url[400];
    engine_start_with(&engine, ",\"approval_key\":\"" KEY "\",\"public_url\":\"" URL "\"");
    engine_load_good(&engine, "plugin", PLUGIN, "workflow",
                     HEAD "steps: [{id: a, repeat: {until: \"${{ result.n > 5 }}\", every: 10ms}, uses: my/call@1}]\n", NULL);
    const struct bw_slice row = BW_SLICE("{\"callback\":true,\"iteration\":4}");
    char more[600];
    snprintf(more, sizeof more,
             ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"steps\":[{\"path\":\"a\","
             "\"state\":3,\"attempt\":1,\"started_ms\":5,\"due_ms\":9000000000000,\"output_part\":2,\"wake\":{\"arm\":0,\"at_ms\":5,%s}}]}]",
             run_of("w"), (long long)bw_clock_wall_ms() - 1000, POSTED("output", "{\"n\":1}"));
    engine_event_with(&engine, "{}", more, &row, 1);
    int64_t call = next_call(&engine, url, sizeof url);
    struct bw_callback_turn turn = turn_of(url, &token);
    assert_true(turn.iteration == 5 && turn.attempt == 1);
    pend(&engine, call, 0);
    const json_t *step = step_at(only_run(&engine, PARKED), 0);
    assert_string_equal(output(&engine.answer, step), "{\"callback\":true,\"iteration\":5}");
    engine_stop(&engine);
}

static void test_code_says_so_with_its_value(void **state)
{
    static const struct {
        const char *code;
        int state;
        const char *wanted;
    } cases[] = {
        {"return ctx.pending()", PARKED, ""},
        {"return ctx.pending{within = '2h'}", PARKED, ""},
        {"error(ctx.pending{})", PARKED, ""},
        {"ctx.pending() return {}", FAILED, "lua.error"},
        {"return ctx.pending{withn = 5}", FAILED, "lua.error"},
        {"return ctx.pending{within = 'soon'}", FAILED, "lua.error"},
        {"return ctx.pending('2h')", FAILED, "lua.error"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        char workflow[300];
        snprintf(workflow, sizeof workflow, "steps: [{id: a, lua: \"%s\"}]\n", cases[i].code);
        begin(&engine, workflow);
        assert_string_equal(code_of(only_run(&engine, cases[i].state)), cases[i].wanted);
        engine_stop(&engine);
    }
}

/* The run is ending over another step: nothing new is waited for. */
static void test_one_that_comes_too_late_for_its_run_is_cancelled(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{parallel: [{id: a, uses: my/call@1}, {id: b, uses: my/call@1}]}]\n");
    int64_t a = next_call(&engine, NULL, 0), b = next_call(&engine, NULL, 0);
    engine_send(&engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"fail\",\"error\":{\"code\":\"no\",\"message\":\"m\"}}",
                (long long)a);
    pend(&engine, b, 0);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "no");
    assert_int_equal(number(step_at(run, 1), "state"), CANCELLED);
    engine_stop(&engine);
}

static void test_without_a_key_there_is_no_link(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow", HEAD "steps: [{id: a, lua: \"return {url = ctx.callback_url()}\"}]\n", NULL);
    engine_event(&engine, "{}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "lua.error");
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_parks_and_its_link_says_which_attempt),
        cmocka_unit_test(test_how_long_it_waits),
        cmocka_unit_test(test_what_is_posted_is_the_result),
        cmocka_unit_test(test_a_failure_that_may_pass_is_tried_again),
        cmocka_unit_test(test_a_retry_that_is_far_away_parks_without_the_old_time),
        cmocka_unit_test(test_the_time_of_a_repeat_is_in_its_link_and_its_row),
        cmocka_unit_test(test_code_says_so_with_its_value),
        cmocka_unit_test(test_one_that_comes_too_late_for_its_run_is_cancelled),
        cmocka_unit_test(test_without_a_key_there_is_no_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
