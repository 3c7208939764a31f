/* Steps that are not wanted any more: what executes is told, may end by itself for a while, and what it says then is recorded. */
#include "fake_engine.h"
#include <arpa/inet.h>

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define PLUGIN "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\"}]}"

enum { UNKNOWN = 24 };

static void begin(struct engine *engine, const char *workflow)
{
    char *whole = NULL;
    engine_start_with(engine, ",\"allow_private_network\":true");
    assert_true(asprintf(&whole, HEAD "%s", workflow) > 0);
    engine_load_good(engine, "plugin", PLUGIN, "workflow", whole, NULL);
    free(whole);
    engine_event(engine, "{}");
}

static void cancel_run(struct engine *engine)
{
    engine_send(engine, BW_MSG_CANCEL, NULL, 0, "{\"run\":\"%s\",\"cancelled\":{\"reason\":\"enough\",\"by\":\"test\"}}", run_of("w"));
}

static int64_t next_call(struct engine *engine)
{
    return number(engine_next(engine, BW_MSG_CALL)->head, "call");
}

static void commit_next(struct engine *engine)
{
    engine_commit(engine, number(engine_next(engine, BW_MSG_REPORT)->head, "report"));
}

static void assert_told(struct engine *engine, int64_t call, bool is_kept)
{
    const json_t *head = engine_next(engine, BW_MSG_CALL_CANCEL)->head;
    assert_int_equal(number(head, "call"), call);
    assert_int_equal(number(head, "grace_ms"), 10000);
    assert_int_equal(bw_json_bool(head, "keep", false), is_kept);
}

/* So that it has a row: whoever cancels it must not have to wait for its steps. */
static void assert_reported_as_active(struct engine *engine)
{
    const struct answer *report = engine_next(engine, BW_MSG_REPORT);
    assert_false(json_is_true(json_object_get(report->head, "done")));
    assert_int_equal(number(run_at(report, 0), "state"), ACTIVE);
    assert_string_equal(code_of(run_at(report, 0)), "");
}

static void answer(struct engine *engine, int64_t call, const char *result)
{
    struct bw_slice part = BW_SLICE("{\"order\":7}");
    engine_send(engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,%s}", (long long)call, result);
}

static const json_t *step_named(const json_t *run, const char *path)
{
    size_t index;
    json_t *step;
    json_array_foreach(json_object_get(run, "steps"), index, step) if (!strcmp(text(step, "path"), path)) return step;
    return NULL;
}

/* ---- plugins ---- */

static void test_a_result_that_still_comes_is_recorded_and_undone(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "undo_on: [cancel]\nsteps:\n  - {id: a, uses: my/call@1, undo: {uses: my/call@1, with: {n: \"${{ result.order }}\"}}}\n"
                   "  - {id: b, uses: my/call@1}\n");
    int64_t call = next_call(&engine);
    cancel_run(&engine);
    assert_told(&engine, call, true);
    assert_reported_as_active(&engine);
    cancel_run(&engine); /* the engine says it again when the flag is on disk */
    answer(&engine, call, "\"outcome\":\"ok\",\"output_part\":0");
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_int_equal(number(step_named(run_at(report, 0), "a"), "state"), SUCCEEDED);
    assert_string_equal(output(report, step_named(run_at(report, 0), "a")), "{\"order\":7}");
    engine_commit(&engine, number(report->head, "report"));
    const struct answer *undo = engine_next(&engine, BW_MSG_CALL);
    assert_true(bw_slice_is(undo->parts[0], "{\"n\":7}"));
    answer(&engine, number(undo->head, "call"), "\"outcome\":\"ok\",\"output_part\":0");
    const json_t *run = only_run(&engine, CANCELLED);
    assert_string_equal(code_of(run), "run.cancelled");
    assert_non_null(strstr(text(json_object_get(run, "error"), "message"), "enough"));
    assert_null(step_named(run, "b"));
    engine_stop(&engine);
}

/* Until the run ends with its steps, the waiting is what has the event: a worker that takes the run up must find it there. */
static void test_the_waiting_for_the_event_that_cancels_ends_with_the_run(void **state)
{
    (void)state;
    struct engine engine;
    struct bw_slice body = BW_SLICE("{}");
    char uid[BW_UID_TEXT];
    begin(&engine, "cancel_on: [{event: app.stop}]\nsteps: [{id: a, uses: my/call@1}]\n");
    int64_t call = next_call(&engine);
    commit_next(&engine);
    engine_send(&engine, BW_MSG_CANCEL_EVENT, &body, 1,
                "{\"run\":\"%s\",\"wake\":{\"arm\":0,\"at_ms\":1,\"event\":{\"id\":9,\"uid\":\"%s\",\"at_ms\":1,\"trusted\":true,\"name\":"
                "\"app.stop\",\"source\":\"app\"}},\"body_part\":0}",
                run_of("w"), bw_uid_text(event_uid, BW_UID_EVENT, uid));
    assert_told(&engine, call, true);
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_int_equal(number(run_at(report, 0), "state"), ACTIVE);
    assert_null(step_named(run_at(report, 0), "~cancel_on"));
    engine_commit(&engine, number(report->head, "report"));
    answer(&engine, call, "\"outcome\":\"fail\",\"error\":{\"code\":\"step.cancelled\",\"message\":\"m\"}");
    const json_t *run = only_run(&engine, CANCELLED);
    assert_int_equal(number(step_named(run, "~cancel_on"), "state"), CANCELLED);
    assert_string_equal(code_of(run), "run.cancelled");
    engine_stop(&engine);
}

static void test_a_failure_that_still_comes_is_a_cancelled_step(void **state)
{
    static const struct {
        const char *guarantee, *result;
        int state;
        const char *code;
    } cases[] = {
        {"", "\"outcome\":\"fail\",\"error\":{\"code\":\"step.cancelled\",\"message\":\"m\"}", CANCELLED, ""},
        {"", "\"outcome\":\"fail\",\"error\":{\"code\":\"card.declined\",\"message\":\"m\"}", CANCELLED, "card.declined"},
        {"", "\"outcome\":\"retry\",\"error\":{\"code\":\"http.status\",\"message\":\"m\"}", CANCELLED, "http.status"},
        {"guarantee: at_most_once, ", "\"outcome\":\"fail\",\"error\":{\"code\":\"step.cancelled\",\"message\":\"m\"}", CANCELLED, ""},
        {"guarantee: at_most_once, ", "\"outcome\":\"fail\",\"doubtful\":true,\"error\":{\"code\":\"step.cancelled\",\"message\":\"m\"}", UNKNOWN,
         "step.unknown"},
        {"guarantee: at_most_once, ", "\"outcome\":\"ok\",\"output_part\":0", SUCCEEDED, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        char steps[200];
        snprintf(steps, sizeof steps, "steps: [{id: a, %sretry: {delay: 0s}, uses: my/call@1}]\n", cases[i].guarantee);
        begin(&engine, steps);
        if (*cases[i].guarantee) commit_next(&engine);
        int64_t call = next_call(&engine);
        cancel_run(&engine);
        assert_told(&engine, call, true);
        assert_reported_as_active(&engine);
        answer(&engine, call, cases[i].result);
        const json_t *run = only_run(&engine, CANCELLED);
        assert_string_equal(code_of(run), "run.cancelled");
        assert_int_equal(number(step_at(run, 0), "state"), cases[i].state);
        assert_string_equal(code_of(step_at(run, 0)), cases[i].code);
        engine_stop(&engine);
    }
}

/* Its first attempt has failed: that is what its row says until this one has ended. */
static void test_one_that_is_tried_again_is_executing(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, retry: {delay: 0s}, uses: my/call@1}]\n");
    answer(&engine, next_call(&engine), "\"outcome\":\"retry\",\"error\":{\"code\":\"busy\",\"message\":\"m\"}");
    int64_t call = next_call(&engine);
    cancel_run(&engine);
    assert_told(&engine, call, true);
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_int_equal(number(step_at(run_at(report, 0), 0), "state"), 2);
    answer(&engine, call, "\"outcome\":\"ok\",\"output_part\":0");
    const json_t *run = only_run(&engine, CANCELLED);
    assert_int_equal(number(step_at(run, 0), "state"), SUCCEEDED);
    assert_int_equal(number(step_at(run, 0), "attempt"), 2);
    engine_stop(&engine);
}

/* Its own timeout is shorter than the time that it is given. */
static void test_one_that_does_not_end_is_ended(void **state)
{
    (void)state;
    for (int is_once = 0; is_once < 2; is_once++) {
        struct engine engine;
        char steps[200];
        snprintf(steps, sizeof steps, "steps: [{id: a, %stimeout: 300ms, uses: my/call@1}]\n", is_once ? "guarantee: at_most_once, " : "");
        begin(&engine, steps);
        if (is_once) commit_next(&engine);
        int64_t call = next_call(&engine);
        cancel_run(&engine);
        assert_told(&engine, call, true);
        assert_reported_as_active(&engine);
        assert_told(&engine, call, false);
        const json_t *run = only_run(&engine, CANCELLED);
        assert_int_equal(number(step_at(run, 0), "state"), is_once ? UNKNOWN : CANCELLED);
        engine_stop(&engine);
    }
}

static void test_the_time_of_the_run_is_over_meanwhile(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "timeout: 300ms\nsteps: [{id: a, uses: my/call@1}]\n");
    int64_t call = next_call(&engine);
    cancel_run(&engine);
    assert_told(&engine, call, true);
    assert_reported_as_active(&engine);
    assert_told(&engine, call, false);
    assert_string_equal(code_of(only_run(&engine, CANCELLED)), "run.cancelled");
    engine_stop(&engine);
}

static void test_one_whose_parent_has_let_go_of_it_is_not_waited_for(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, uses: my/call@1}]\n");
    int64_t call = next_call(&engine);
    engine_send(&engine, BW_MSG_CANCEL, NULL, 0, "{\"run\":\"%s\"}", run_of("w"));
    assert_told(&engine, call, false);
    only_run(&engine, CANCELLED);
    engine_stop(&engine);
}

static void test_fail_fast_waits_for_what_the_others_say(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "fail_fast: true\nsteps:\n  - parallel:\n      - {id: a, uses: my/call@1}\n"
                   "      - {id: b, uses: my/call@1, undo: {uses: my/call@1, with: {n: \"${{ result.order }}\"}}}\n");
    int64_t a = next_call(&engine), b = next_call(&engine);
    answer(&engine, a, "\"outcome\":\"fail\",\"error\":{\"code\":\"no\",\"message\":\"m\"}");
    assert_told(&engine, b, true);
    answer(&engine, b, "\"outcome\":\"ok\",\"output_part\":0");
    commit_next(&engine);
    const struct answer *undo = engine_next(&engine, BW_MSG_CALL);
    assert_true(bw_slice_is(undo->parts[0], "{\"n\":7}"));
    answer(&engine, number(undo->head, "call"), "\"outcome\":\"ok\",\"output_part\":0");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "no");
    engine_stop(&engine);
}

/* ---- Lua ---- */

static void assert_lua(const char *code, int step_state, const char *wanted)
{
    struct engine engine;
    char *steps = NULL;
    assert_true(asprintf(&steps, "steps:\n  - id: a\n    timeout: 5s\n    lua: |\n      %s\n", code) > 0);
    begin(&engine, steps);
    free(steps);
    cancel_run(&engine);
    assert_reported_as_active(&engine);
    const json_t *run = only_run(&engine, CANCELLED);
    assert_int_equal(number(step_at(run, 0), "state"), step_state);
    assert_string_equal(step_state == SUCCEEDED ? output(&engine.answer, step_at(run, 0)) : code_of(step_at(run, 0)), wanted);
    engine_stop(&engine);
}

static void test_lua_code_that_waits_gets_an_error(void **state)
{
    (void)state;
    assert_lua("ctx.sleep(600)", CANCELLED, "");
    assert_lua("ctx.sleep('2h') -- longer than its timeout", CANCELLED, "");
    assert_lua("local good, why = pcall(ctx.sleep, 600) return {good = good, code = why.code, asked = ctx.cancelled()}", SUCCEEDED,
               "{\"asked\":true,\"code\":\"step.cancelled\",\"good\":false}");
    assert_lua("pcall(ctx.sleep, 600) local _, why = pcall(ctx.http, {url = 'http://127.0.0.1:1/'}) return {code = why.code}", SUCCEEDED,
               "{\"code\":\"step.cancelled\"}");
    assert_lua("pcall(ctx.sleep, 600) ctx.sleep(1)", CANCELLED, "");
    assert_lua("pcall(ctx.sleep, 600) return ctx.retry{code = 'later'}", CANCELLED, "later");
    assert_lua("pcall(ctx.sleep, 600) error('broken')", CANCELLED, "lua.error");
}

static void test_lua_code_that_computes_may_ask(void **state)
{
    (void)state;
    assert_lua("local before = ctx.cancelled() while not ctx.cancelled() do end return {before = before}", SUCCEEDED, "{\"before\":false}");
    assert_lua("while not ctx.cancelled() do end ctx.sleep(1)", CANCELLED, "");
    assert_lua("local n = 0 for i = 1, 2e6 do n = n + 1 end return {n = n}", SUCCEEDED, "{\"n\":2000000}");
}

static void test_lua_code_that_does_not_end_is_ended(void **state)
{
    static const char *const codes[] = {"while true do pcall(ctx.sleep, 600) end", "local t = 1 while true do t = t + 1 end"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct engine engine;
        char steps[200];
        snprintf(steps, sizeof steps, "steps: [{id: a, timeout: 1s, lua: \"%s\"}]\n", codes[i]);
        begin(&engine, steps);
        cancel_run(&engine);
        assert_reported_as_active(&engine);
        assert_int_equal(number(step_at(only_run(&engine, CANCELLED), 0), "state"), CANCELLED);
        engine_stop(&engine);
    }
}

/* ---- a request that is on its way ---- */

static int listen_here(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof address) && !listen(fd, 5));
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void test_a_request_is_broken_off(void **state)
{
    static const struct {
        const char *guarantee, *code;
        int state;
        const char *wanted;
    } cases[] = {
        {"", "return ctx.http{method = 'POST', url = input.url}", CANCELLED, ""},
        {"", "local _, why = pcall(ctx.http, {url = input.url}) return {code = why.code, class = why.class}", SUCCEEDED,
         "{\"class\":\"permanent\",\"code\":\"step.cancelled\"}"},
        {"guarantee: at_most_once, ", "return ctx.http{method = 'POST', url = input.url}", UNKNOWN, "step.unknown"},
        {"guarantee: at_most_once, ", "pcall(ctx.http, {method = 'POST', url = input.url}) return ctx.fail('no')", UNKNOWN, "step.unknown"},
        {"guarantee: at_most_once, ", "return ctx.http{url = input.url}", CANCELLED, ""},
    };
    int port, server = listen_here(&port);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        char steps[400], bytes[4096];
        ssize_t got;
        snprintf(steps, sizeof steps, "steps: [{id: a, %swith: {url: \"http://127.0.0.1:%d/\"}, lua: \"%s\"}]\n", cases[i].guarantee, port,
                 cases[i].code);
        begin(&engine, steps);
        if (*cases[i].guarantee) commit_next(&engine);
        int peer = accept(server, NULL, NULL);
        assert_true(peer >= 0 && read(peer, bytes, sizeof bytes) > 0);
        cancel_run(&engine);
        assert_reported_as_active(&engine);
        while ((got = read(peer, bytes, sizeof bytes)) > 0) continue;
        assert_int_equal(got, 0);
        close(peer);
        const json_t *run = only_run(&engine, CANCELLED), *step = step_at(run, 0);
        assert_int_equal(number(step, "state"), cases[i].state);
        assert_string_equal(cases[i].state == SUCCEEDED ? output(&engine.answer, step) : code_of(step), cases[i].wanted);
        engine_stop(&engine);
    }
    close(server);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_result_that_still_comes_is_recorded_and_undone),
        cmocka_unit_test(test_the_waiting_for_the_event_that_cancels_ends_with_the_run),
        cmocka_unit_test(test_a_failure_that_still_comes_is_a_cancelled_step),
        cmocka_unit_test(test_one_that_is_tried_again_is_executing),
        cmocka_unit_test(test_one_that_does_not_end_is_ended),
        cmocka_unit_test(test_the_time_of_the_run_is_over_meanwhile),
        cmocka_unit_test(test_one_whose_parent_has_let_go_of_it_is_not_waited_for),
        cmocka_unit_test(test_fail_fast_waits_for_what_the_others_say),
        cmocka_unit_test(test_lua_code_that_waits_gets_an_error),
        cmocka_unit_test(test_lua_code_that_computes_may_ask),
        cmocka_unit_test(test_lua_code_that_does_not_end_is_ended),
        cmocka_unit_test(test_a_request_is_broken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
