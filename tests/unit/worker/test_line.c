/* Lines: calls that go to the process of a plugin itself. This test is both: the engine, and that process. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define PLUGIN                                                                                                                                  \
    "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\",\"effect\":\"none\",\"secrets\":[\"KEY\"]}," \
    "{\"name\":\"my/other\",\"version\":\"1.0.0\",\"doc\":\"the same\"}]}"

static void begin(struct engine *engine, const char *steps)
{
    char *workflow = NULL;
    engine_start(engine);
    assert_true(asprintf(&workflow, HEAD "secrets: [KEY]\n%s", steps) > 0);
    engine_load_good(engine, "plugin", PLUGIN, "workflow", workflow, NULL);
    free(workflow);
}

/* The other end of a line: as an engine to whom nobody else speaks. */
static struct engine give_line(struct engine *engine, int64_t number, const char *actions)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_true(bw_pass_send(engine->lines, number, pair[1]));
    close(pair[1]);
    engine_send(engine, BW_MSG_LINE, NULL, 0, "{\"line\":%lld,\"actions\":[%s],\"secrets\":[\"PIN\",\"GONE\"]}", (long long)number, actions);
    return (struct engine){.fd = pair[0]};
}

static void hang_up(struct engine *line)
{
    close(line->fd);
    json_decref(line->answer.head);
    bw_buf_free(&line->in);
}

static int64_t told_of_call(struct engine *engine, int64_t line)
{
    const struct answer *told = engine_next(engine, BW_MSG_CALL);
    assert_int_equal(number(told->head, "line"), line);
    assert_null(json_object_get(told->head, "input_part"));
    assert_null(json_object_get(told->head, "secrets"));
    assert_string_equal(text(told->head, "step"), "a"); /* of what it is told about */
    return number(told->head, "call");
}

static const struct answer *executed(struct engine *line, int64_t call)
{
    const struct answer *execute = engine_next(line, BW_MSG_HOST_EXECUTE);
    assert_int_equal(number(execute->head, "call"), call);
    return execute;
}

static void answer_ok(struct engine *line, int64_t call)
{
    struct bw_slice part = BW_SLICE("{\"n\":1}");
    engine_send(line, BW_MSG_HOST_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)call);
}

/* A step `a` has been called on line 3: the number of the call. */
static int64_t call_on_line(struct engine *engine, const char *steps, struct engine *line)
{
    begin(engine, steps);
    *line = give_line(engine, 3, "\"my/call\"");
    engine_event(engine, "{}");
    int64_t call = told_of_call(engine, 3);
    executed(line, call);
    return call;
}

static void assert_over(struct engine *engine, int64_t line, int64_t call, bool has_failed)
{
    const json_t *over = engine_next(engine, BW_MSG_CALL_OVER)->head;
    assert_int_equal(number(over, "line"), line);
    assert_int_equal(number(over, "call"), call);
    assert_int_equal(json_is_true(json_object_get(over, "failed")), has_failed);
}

static void test_a_call_and_its_result_go_past_the_engine_and_it_is_told(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, with: {x: 7}, uses: my/call@1}]\n");
    struct engine line = give_line(&engine, 3, "\"my/call\"");
    engine_event(&engine, "{}");
    int64_t call = told_of_call(&engine, 3);
    const struct answer *execute = executed(&line, call);
    assert_string_equal(text(execute->head, "action"), "my/call");
    json_t *secrets = json_object_get(execute->head, "secrets");
    assert_int_equal(json_object_size(secrets), 2); /* the action's, and the one that the configuration grants; GONE there is not */
    assert_string_equal(text(secrets, "KEY"), "s3cr3t-value-1");
    assert_string_equal(text(secrets, "PIN"), "1234567890");
    assert_int_equal(execute->part_count, 2);
    assert_true(bw_slice_is(execute->parts[number(execute->head, "input_part")], "{\"x\":7}"));
    assert_non_null(memmem(execute->parts[1].ptr, execute->parts[1].len, "\"step\":\"a\"", 10));
    answer_ok(&line, call);
    assert_over(&engine, 3, call, false);
    only_run(&engine, SUCCEEDED);
    hang_up(&line);
    engine_stop(&engine);
}

static void test_what_fails_there_is_tried_again_there(void **state)
{
    (void)state;
    struct engine engine, line;
    int64_t call = call_on_line(&engine, "steps: [{id: a, retry: {attempts: 2, delay: 0s}, uses: my/call@1}]\n", &line);
    engine_send(&line, BW_MSG_HOST_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"retry\",\"error\":{\"code\":\"busy\",\"message\":\"m\"}}",
                (long long)call);
    assert_over(&engine, 3, call, true);
    int64_t again = told_of_call(&engine, 3);
    assert_true(again > call);
    executed(&line, again);
    engine_send(&line, BW_MSG_HOST_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"fail\",\"error\":{\"code\":\"no\",\"message\":\"m\"}}",
                (long long)again);
    assert_over(&engine, 3, again, false);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(text(json_object_get(step_at(run, 0), "error"), "code"), "no");
    hang_up(&line);
    engine_stop(&engine);
}

static void test_a_call_that_is_not_wanted_is_cancelled_there_and_the_engine_watches(void **state)
{
    (void)state;
    struct engine engine, line;
    int64_t call = call_on_line(&engine, "steps: [{id: a, timeout: 50ms, retry: {attempts: 1}, uses: my/call@1}]\n", &line);
    assert_int_equal(number(engine_next(&line, BW_MSG_HOST_CANCEL)->head, "call"), call);
    assert_int_equal(number(engine_next(&engine, BW_MSG_CALL_CANCEL)->head, "call"), call);
    only_run(&engine, FAILED);
    answer_ok(&line, call); /* late: of no use, but the engine need not end the process */
    assert_over(&engine, 3, call, false);
    hang_up(&line);
    engine_stop(&engine);
}

static void test_a_line_that_is_retired_gets_no_more_calls_and_still_answers(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, uses: my/call@1}, {id: b, uses: my/call@1}]\n");
    struct engine line = give_line(&engine, 3, "\"my/call\",\"my/other\"");
    engine_event(&engine, "{}");
    int64_t call = told_of_call(&engine, 3);
    executed(&line, call);
    engine_send(&engine, BW_MSG_LINE_RETIRED, NULL, 0, "{\"line\":3}");
    assert_int_equal(number(engine_next(&engine, BW_MSG_LINE_LEFT)->head, "line"), 3);
    answer_ok(&line, call);
    assert_over(&engine, 3, call, false);
    const json_t *next = engine_next(&engine, BW_MSG_CALL)->head; /* through the engine */
    assert_null(json_object_get(next, "line"));
    assert_string_equal(text(next, "step"), "b");
    struct engine follows = give_line(&engine, 4, "\"my/call\""); /* it makes the next call, not this one */
    struct bw_slice part = BW_SLICE("{}");
    engine_send(&engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)number(next, "call"));
    only_run(&engine, SUCCEEDED);
    engine_event(&engine, "{}");
    call = told_of_call(&engine, 4);
    executed(&follows, call);
    hang_up(&line);
    assert_int_equal(number(engine_next(&engine, BW_MSG_LINE_LOST)->head, "line"), 3);
    hang_up(&follows);
    engine_stop(&engine);
}

static void test_when_the_line_is_lost_the_engine_says_what_has_become_of_its_calls(void **state)
{
    (void)state;
    struct engine engine, line;
    int64_t call = call_on_line(&engine, "steps: [{id: a, retry: {attempts: 2, delay: 0s}, uses: my/call@1}]\n", &line);
    hang_up(&line);
    const json_t *lost = engine_next(&engine, BW_MSG_LINE_LOST)->head;
    assert_int_equal(number(lost, "line"), 3);
    assert_string_equal(text(lost, "why"), "closed");
    engine_send(&engine, BW_MSG_CALL_RESULT, NULL, 0,
                "{\"call\":%lld,\"outcome\":\"retry\",\"error\":{\"code\":\"plugin.crashed\",\"message\":\"m\"},\"doubtful\":true}", (long long)call);
    const json_t *again = engine_next(&engine, BW_MSG_CALL)->head;
    assert_null(json_object_get(again, "line"));
    struct bw_slice part = BW_SLICE("{}");
    engine_send(&engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)number(again, "call"));
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

/* The engine asks when it has to know now: it is told all before that. */
static void test_who_is_asked_tells_at_once(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, uses: my/call@1}]\n");
    struct engine line = give_line(&engine, 3, "\"my/call\"");
    engine_send(&engine, BW_MSG_LINE_ASK, NULL, 0, "{\"line\":3}");
    assert_int_equal(number(engine_next(&engine, BW_MSG_LINE_TOLD)->head, "line"), 3);
    engine_event(&engine, "{}");
    const struct answer *execute = engine_next(&line, BW_MSG_HOST_EXECUTE);
    int64_t call = number(execute->head, "call");
    engine_send(&engine, BW_MSG_LINE_ASK, NULL, 0, "{\"line\":3}");
    assert_int_equal(told_of_call(&engine, 3), call);
    assert_int_equal(number(engine_next(&engine, BW_MSG_LINE_TOLD)->head, "line"), 3);
    answer_ok(&line, call);
    assert_over(&engine, 3, call, false);
    only_run(&engine, SUCCEEDED);
    hang_up(&line);
    engine_stop(&engine);
}

/* The process has answered, and has died. */
static void test_an_answer_that_came_before_the_end_of_the_line_counts(void **state)
{
    (void)state;
    struct engine engine, line;
    int64_t call = call_on_line(&engine, "steps: [{id: a, retry: {attempts: 1}, uses: my/call@1}]\n", &line);
    answer_ok(&line, call);
    hang_up(&line);
    bool is_over = false, is_done = false;
    for (const struct answer *answer; !is_over || !is_done;) {
        assert_non_null(answer = engine_poll(&engine, PATIENCE_MS));
        is_over |= answer->type == BW_MSG_CALL_OVER;
        assert_false(answer->type == BW_MSG_LINE_LOST && !is_over); /* the engine has to hear of it before the end, which it waits for */
        if (answer->type != BW_MSG_REPORT) continue;
        is_done = true;
        assert_int_equal(number(run_at(answer, 0), "state"), SUCCEEDED);
    }
    engine_stop(&engine);
}

static void test_no_plugin_answers_for_another_one(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, uses: my/call@1}]\n");
    struct engine line = give_line(&engine, 3, "\"my/call\""), foreign = give_line(&engine, 4, "\"my/other\"");
    engine_event(&engine, "{}");
    int64_t call = told_of_call(&engine, 3);
    executed(&line, call);
    struct bw_slice forged = BW_SLICE("{\"n\":666}");
    engine_send(&foreign, BW_MSG_HOST_RESULT, &forged, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)call);
    assert_over(&engine, 4, call, false); /* it knows that this is none of that one's */
    answer_ok(&line, call);
    assert_over(&engine, 3, call, false);
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_string_equal(output(report, step_at(run_at(report, 0), 0)), "{\"n\":1}");
    hang_up(&line);
    hang_up(&foreign);
    engine_stop(&engine);
}

static void test_garbage_costs_the_line(void **state)
{
    (void)state;
    static const char bytes[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    struct engine engine, line;
    int64_t call = call_on_line(&engine, "steps: [{id: a, uses: my/call@1}]\n", &line);
    assert_int_equal(write(line.fd, bytes, sizeof bytes), sizeof bytes);
    assert_string_not_equal(text(engine_next(&engine, BW_MSG_LINE_LOST)->head, "why"), "closed");
    struct bw_slice part = BW_SLICE("{}");
    engine_send(&engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)call);
    only_run(&engine, SUCCEEDED);
    hang_up(&line);
    engine_stop(&engine);
}

/* It was told of one whose descriptor has not come: it leaves it, and calls go through the engine. */
static void test_a_line_without_its_descriptor_is_left(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, uses: my/call@1}]\n");
    engine_send(&engine, BW_MSG_LINE, NULL, 0, "{\"line\":9,\"actions\":[\"my/call\"]}");
    assert_int_equal(number(engine_next(&engine, BW_MSG_LINE_LEFT)->head, "line"), 9);
    engine_event(&engine, "{}");
    assert_null(json_object_get(engine_next(&engine, BW_MSG_CALL)->head, "line"));
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_and_its_result_go_past_the_engine_and_it_is_told),
        cmocka_unit_test(test_what_fails_there_is_tried_again_there),
        cmocka_unit_test(test_a_call_that_is_not_wanted_is_cancelled_there_and_the_engine_watches),
        cmocka_unit_test(test_a_line_that_is_retired_gets_no_more_calls_and_still_answers),
        cmocka_unit_test(test_when_the_line_is_lost_the_engine_says_what_has_become_of_its_calls),
        cmocka_unit_test(test_who_is_asked_tells_at_once),
        cmocka_unit_test(test_an_answer_that_came_before_the_end_of_the_line_counts),
        cmocka_unit_test(test_no_plugin_answers_for_another_one),
        cmocka_unit_test(test_garbage_costs_the_line),
        cmocka_unit_test(test_a_line_without_its_descriptor_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
