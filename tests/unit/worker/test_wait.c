/* Steps that wait: a run that only waits is parked, and goes on with what woke it. */
#include "fake_engine.h"
#include "workflow/wait_key.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define PLUGIN "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\"}]}"
#define HOUR 3600000LL
enum { WAITING = 3 }; /* of a step */

static int64_t before_ms;
static void begin(struct engine *engine, const char *workflow)
{
    engine_start(engine);
    engine_load_good(engine, "plugin", PLUGIN, "workflow", workflow, NULL);
    before_ms = bw_clock_wall_ms();
    engine_event(engine, "{\"id\":\"a-1\",\"days\":2,\"at\":\"2030-01-02T03:04:05+01:00\"}");
}

/* The run goes on, with what is recorded of its steps (JSON objects) as it was parked a minute ago. */
static void resume(struct engine *engine, const char *steps, const struct bw_slice *parts, size_t part_count)
{
    char *more = NULL;
    assert_true(
        asprintf(
            &more,
            ",\"resume\":\"w\",\"wake_events\":[{\"id\":9,\"uid\":\"evt_x\",\"name\":\"app.paid\",\"source\":\"app\",\"at_ms\":5,"
            "\"trusted\":true,\"body_part\":2}],\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"steps\":[%s]}]",
            run_of("w"), (long long)bw_clock_wall_ms() - 60000, steps) > 0);
    engine_event_with(engine, "{\"id\":\"a-1\"}", more, parts, part_count);
    free(more);
}

static void assert_about(int64_t ms, int64_t expected_ms)
{
    int64_t now_ms = bw_clock_wall_ms();
    if (ms < expected_ms || ms > expected_ms + (now_ms - before_ms)) fail_msg("%lld is not about %lld", (long long)ms, (long long)expected_ms);
}

/* The run at the worker is given a sleep that it parks with. */
static const json_t *parked_step(struct engine *engine)
{
    const json_t *run = only_run(engine, PARKED);
    assert_int_equal(step_count(run), 1);
    return step_at(run, 0);
}

static void test_a_run_that_only_sleeps_is_parked(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, sleep: 1h}, {id: b, set: {}}]\n");
    const json_t *run = only_run(&engine, PARKED), *step = step_at(run, 0);
    assert_int_equal(number(step, "state"), 3);
    assert_about(number(step, "due_ms"), before_ms + HOUR);
    assert_int_equal(number(run, "deadline_ms") - number(run, "started_ms"), 30 * 24 * HOUR);
    assert_int_equal(json_integer_value(json_object_get(engine.answer.head, "job")), 70);
    resume(&engine, "{\"path\":\"a\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":2,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":2}}", NULL, 0);
    run = only_run(&engine, SUCCEEDED);
    assert_int_equal(step_count(run), 2);
    assert_int_equal(number(step_at(run, 0), "started_ms"), 1);
    engine_stop(&engine);
}

static void test_a_sleep_can_be_computed_and_have_an_end(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, sleep: \"${{ event.data.days .. 'd' }}\"}]\n");
    assert_about(number(parked_step(&engine), "due_ms"), before_ms + 48 * HOUR);
    engine_stop(&engine);
    begin(&engine, HEAD "timeout: 366d\nsteps: [{id: a, sleep: {until: \"${{ event.data.at }}\"}}]\n");
    const json_t *run = only_run(&engine, FAILED); /* years away */
    assert_string_equal(code_of(run), "sleep.too_long");
    engine_stop(&engine);
    begin(&engine, HEAD "steps: [{id: a, sleep: {until: \"${{ event.at }}\"}}, {id: b, sleep: {until: \"2026-01-02T03:04:05.678Z\"}}]\n");
    only_run(&engine, SUCCEEDED); /* both are over */
    engine_stop(&engine);
    begin(&engine, HEAD "steps: [{id: a, sleep: \"${{ event.data.id }}\"}]\n");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "sleep.value");
    engine_stop(&engine);
    begin(&engine, HEAD "steps: [{id: a, sleep: {until: \"${{ 'tomorrow' }}\"}}]\n");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "sleep.value");
    engine_stop(&engine);
}

static void test_a_short_sleep_stays_in_memory(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, sleep: 50ms}, {id: b, set: {}}]\n");
    const json_t *step = step_at(only_run(&engine, SUCCEEDED), 0);
    assert_true(number(step, "ended_ms") - number(step, "started_ms") >= 50);
    engine_stop(&engine);
}

static void test_a_run_is_not_parked_while_a_step_is_at_work(void **state)
{
    (void)state;
    struct engine engine;
    struct bw_slice part = BW_SLICE("{}");
    begin(&engine, HEAD "steps: [{parallel: [{id: a, sleep: 1h}, {id: b, uses: my/call@1}]}]\n");
    int64_t call = number(engine_next(&engine, BW_MSG_CALL)->head, "call");
    engine_send(&engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)call);
    const json_t *run = only_run(&engine, PARKED);
    assert_int_equal(step_count(run), 2);
    engine_stop(&engine);
}

/* One of two steps was woken, the other one goes on waiting as it was registered: nothing is reported of it anew. */
static void test_what_did_not_end_goes_on_waiting(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{parallel: [{id: a, sleep: 1h}, {id: b, sleep: 2h}]}, {id: c, set: {}}]\n");
    only_run(&engine, PARKED);
    char steps[400];
    snprintf(steps, sizeof steps,
             "{\"path\":\"a\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":2,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":2}},"
             "{\"path\":\"b\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":%lld}",
             (long long)bw_clock_wall_ms() + HOUR);
    resume(&engine, steps, NULL, 0);
    const json_t *step = parked_step(&engine);
    assert_string_equal(text(step, "path"), "a");
    assert_int_equal(number(step, "state"), SUCCEEDED);
    engine_stop(&engine);
}

/* What waits beside a step that fails comes to its end, like what executes there, and then the run fails; with fail_fast it ends at once. */
static void fail_beside_waits(struct engine *engine, const char *head)
{
    char workflow[400];
    snprintf(workflow, sizeof workflow, "%ssteps: [{parallel: [{id: a, sleep: 1h}, {id: b, wait: {event: app.paid}}, {id: c, uses: my/call@1}]}]\n",
             head);
    begin(engine, workflow);
    int64_t call = number(engine_next(engine, BW_MSG_CALL)->head, "call");
    engine_send(engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"fail\",\"error\":{\"code\":\"no\",\"message\":\"no\"}}",
                (long long)call);
}

static void assert_three_steps(const json_t *run, int a, int b, int c)
{
    const int states[] = {a, b, c};
    assert_int_equal(step_count(run), 3);
    for (size_t i = 0; i < 3; i++) assert_int_equal(number(step_at(run, i), "state"), states[i]);
}

static void test_waits_beside_a_failure_come_to_their_end(void **state)
{
    (void)state;
    struct engine engine;
    fail_beside_waits(&engine, HEAD);
    assert_three_steps(only_run(&engine, PARKED), WAITING, WAITING, FAILED);
    engine_stop(&engine);
    fail_beside_waits(&engine, HEAD "fail_fast: true\n");
    assert_three_steps(only_run(&engine, FAILED), CANCELLED, CANCELLED, FAILED);
    engine_stop(&engine);
}

/* A step of a run that was parked fails for good as soon as the run goes on. What was recorded beside it is treated like what is in memory: a step
 * that waits for its next attempt is not tried again, and leaves nothing behind that would wake the run once more; */
static void test_a_recorded_retry_beside_a_failure_has_failed(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(
        &engine, "workflow",
        HEAD "finally: [{id: z, sleep: 1h}]\nsteps: [{parallel: [{id: a, lua: \"return ctx.fail('no')\"}, {id: b, lua: \"return {}\"}]}]\n", NULL);
    before_ms = bw_clock_wall_ms();
    resume(&engine,
           "{\"path\":\"a\",\"state\":2,\"attempt\":1,\"started_ms\":1,\"due_ms\":2,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":2}},"
           "{\"path\":\"b\",\"state\":2,\"attempt\":1,\"started_ms\":1,\"ended_ms\":2,\"due_ms\":9000000000000,\"error\":{\"code\":\"later\"}}",
           NULL, 0);
    const struct answer *report;
    const json_t *steps = NULL, *step, *b = NULL;
    size_t index;
    do {
        report = engine_next(&engine, BW_MSG_REPORT);
        steps = json_object_get(run_at(report, 0), "steps");
        json_array_foreach(steps, index, step) if (!strcmp(text(step, "path"), "b"))
        {
            b = step;
            assert_int_equal(number(b, "state"), FAILED);
            assert_string_equal(text(json_object_get(b, "error"), "code"), "later");
        }
        if (json_is_true(json_object_get(report->head, "ack"))) engine_commit(&engine, json_integer_value(json_object_get(report->head, "report")));
    } while (!json_is_true(json_object_get(report->head, "done")));
    assert_non_null(b);
    assert_int_equal(number(run_at(report, 0), "state"), PARKED); /* in its `finally` */
    engine_stop(&engine);
}

/* one that waits for something else waits on, and the run with it. */
#define LISTENS "{\"path\":\"~cancel_on\",\"state\":3,\"attempt\":1,\"started_ms\":1}"
static void test_a_recorded_wait_beside_a_failure_comes_to_its_end(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow",
                     HEAD "cancel_on: [{event: app.off}]\nsteps: [{parallel: [{id: a, lua: \"return ctx.fail('no')\"}, {id: b, sleep: 2h}]}]\n",
                     NULL);
    before_ms = bw_clock_wall_ms();
    resume(&engine,
           "{\"path\":\"a\",\"state\":2,\"attempt\":1,\"started_ms\":1,\"due_ms\":2,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":2}},"
           "{\"path\":\"b\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":9000000000000}," LISTENS,
           NULL, 0);
    assert_string_equal(text(parked_step(&engine), "path"), "a");
    resume(&engine,
           "{\"path\":\"a\",\"state\":21,\"attempt\":1,\"started_ms\":1,\"ended_ms\":2,\"error\":{\"code\":\"no\"}},"
           "{\"path\":\"b\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":2,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":2}}," LISTENS,
           NULL, 0);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(text(step_at(run, 0), "path"), "b");
    assert_int_equal(number(step_at(run, 0), "state"), SUCCEEDED);
    engine_stop(&engine);
}

static uint64_t key(const char *event, const char *by, const char *value)
{
    uint64_t made;
    assert_true(bw_wait_key(bw_slice_of(event), bw_slice_of(by), bw_slice_of(value), &made));
    return made;
}

#define WAIT                                                                                                                                     \
    HEAD "steps: [{id: a, wait: {timeout: 1h, any: [{event: app.paid, by: data.order.id, equals: \"${{ event.data.id }}\"}, {event: app.*, if: " \
         "\"${{ result.event.data.n > 1 }}\"}]}}]\noutputs: {a: \"${{ steps.a }}\"}\n"
static void test_a_wait_registers_its_events_and_gives_the_one_that_came(void **state)
{
    (void)state;
    struct engine engine;
    const struct bw_slice body = BW_SLICE("{\"order\":{\"id\":\"a-1\"},\"n\":1}");
    begin(&engine, WAIT);
    const json_t *step = parked_step(&engine), *arms = json_object_get(step, "arms");
    assert_about(number(step, "due_ms"), before_ms + HOUR);
    assert_int_equal(json_array_size(arms), 2);
    assert_true(number(json_array_get(arms, 0), "key") == (int64_t)key("app.paid", "data.order.id", "\"a-1\""));
    assert_true(number(json_array_get(arms, 1), "key") == (int64_t)key("app.*", "", ""));
    assert_int_equal(number(json_array_get(arms, 0), "since_event"), 7); /* since the run's own event */
    resume(&engine,
           "{\"path\":\"a\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":9000000000000,\"wake\":{\"kind\":2,\"arm\":0,\"at_ms\":2,\"event\":"
           "9}}",
           &body, 1);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run),
                        "{\"a\":{\"event\":{\"id\":\"evt_x\",\"name\":\"app.paid\",\"source\":\"app\",\"at\":5,\"trusted\":true,\"data\":{\"order\":{"
                        "\"id\":\"a-1\"},\"n\":1}},\"arm\":1,\"timed_out\":false}}");
    engine_stop(&engine);
}

/* Since the run's event, unless it says otherwise: then the time counts, and no event is too old by its number. */
static void test_since_says_which_events_count(void **state)
{
    static const struct {
        const char *since;
        int64_t since_event, ago_ms; /* -1: no time is asked for */
    } cases[] = {{"run", 7, -1}, {"now", 0, 0}, {"2h", 0, 2 * HOUR}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        char workflow[200];
        snprintf(workflow, sizeof workflow, HEAD "steps: [{id: a, wait: {event: app.paid, since: %s}}]\n", cases[i].since);
        begin(&engine, workflow);
        const json_t *step = parked_step(&engine);
        assert_int_equal(number(json_array_get(json_object_get(step, "arms"), 0), "since_event"), cases[i].since_event);
        if (cases[i].ago_ms < 0)
            assert_null(json_object_get(step, "since_ms"));
        else
            assert_about(number(step, "since_ms"), before_ms - cases[i].ago_ms);
        assert_null(json_object_get(step, "due_ms")); /* without a timeout as long as the run may take */
        engine_stop(&engine);
    }
}

/* Its key was the same, by the chance of a hash: the field decides. */
static void test_an_event_whose_field_differs_does_not_end_a_wait(void **state)
{
    (void)state;
    struct engine engine;
    const struct bw_slice body = BW_SLICE("{\"order\":{\"id\":\"a-2\"},\"n\":5}");
    begin(&engine, WAIT);
    parked_step(&engine);
    resume(&engine,
           "{\"path\":\"a\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":9000000000000,"
           "\"wake\":{\"kind\":2,\"arm\":0,\"at_ms\":2,\"event\":9}}",
           &body, 1);
    assert_int_equal(number(json_array_get(json_object_get(parked_step(&engine), "arms"), 0), "since_event"), 9);
    engine_stop(&engine);
}

static void test_a_wait_goes_on_behind_an_event_that_its_if_refuses(void **state)
{
    (void)state;
    struct engine engine;
    const struct bw_slice body = BW_SLICE("{\"n\":1}");
    begin(&engine, WAIT);
    parked_step(&engine);
    resume(&engine,
           "{\"path\":\"a\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":9000000000000,\"wake\":{\"kind\":2,\"arm\":1,\"at_ms\":2,\"event\":"
           "9}}",
           &body, 1);
    const json_t *step = parked_step(&engine), *arms = json_object_get(step, "arms");
    assert_int_equal(number(step, "due_ms"), 9000000000000);
    assert_int_equal(number(json_array_get(arms, 1), "since_event"), 9);
    assert_true(number(json_array_get(arms, 0), "key") == (int64_t)key("app.paid", "data.order.id", "\"a-1\""));
    engine_stop(&engine);
}

static void test_a_wait_that_was_too_long_fails_or_says_so(void **state)
{
    (void)state;
    struct engine engine;
    static const char timer[] =
        "{\"path\":\"a\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":2,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":2}}";
    begin(&engine, HEAD "steps: [{id: a, wait: {event: x.y, timeout: 1h, on_timeout: fail}}]\n");
    parked_step(&engine);
    resume(&engine, timer, NULL, 0);
    assert_string_equal(code_of(only_run(&engine, FAILED)), "wait.timeout");
    engine_stop(&engine);
    begin(&engine, HEAD "steps: [{id: a, wait: {event: x.y, timeout: 1h}}]\noutputs: {late: \"${{ steps.a.timed_out }}\", "
                        "event: \"${{ steps.a.event.name or 'none' }}\"}\n");
    parked_step(&engine);
    resume(&engine, timer, NULL, 0);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"late\":true,\"event\":\"none\"}");
    engine_stop(&engine);
}

static void test_a_wait_for_nothing_that_could_be_there_is_an_error(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, wait: {event: x.y, by: data.id, equals: \"${{ event.data.nobody }}\"}}]\n");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "wait.equals");
    engine_stop(&engine);
}

static void test_a_retry_that_is_far_away_parks_the_run(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: a, lua: \"if ctx.attempt == 1 then return ctx.retry{code = 'busy'} end return {n = ctx.attempt}\",\n"
                        "         retry: {delay: 1m, jitter: 0}}]\n");
    const json_t *step = parked_step(&engine);
    assert_int_equal(number(step, "state"), 2);
    assert_about(number(step, "due_ms"), before_ms + 60000);
    assert_string_equal(code_of(step), "busy");
    resume(&engine, "{\"path\":\"a\",\"state\":2,\"attempt\":1,\"started_ms\":1,\"due_ms\":2,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":2}}", NULL, 0);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(number(step_at(run, 0), "attempt"), 2);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"n\":2}");
    engine_stop(&engine);
}

static void test_a_run_ends_when_its_timeout_is_over(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "timeout: 100ms\nsteps: [{id: a, uses: my/call@1}]\n");
    engine_next(&engine, BW_MSG_CALL);
    engine_next(&engine, BW_MSG_CALL_CANCEL);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "run.timeout");
    assert_int_equal(number(step_at(run, 0), "state"), CANCELLED);
    engine_stop(&engine);
    begin(&engine, HEAD "timeout: 30s\nsteps: [{id: a, sleep: 20s}]\n");
    parked_step(&engine);
    resume(&engine, "{\"path\":\"a\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":9000000000000}", NULL, 0); /* it began a minute ago */
    assert_string_equal(code_of(only_run(&engine, FAILED)), "run.timeout");
    engine_stop(&engine);
}

/* A worker died with an event of which one run is parked: that one is not this worker's. */
static void test_a_parked_run_is_left_alone_when_its_event_is_recovered(void **state)
{
    (void)state;
    struct engine engine;
    char more[400];
    engine_start(&engine);
    engine_load_good(&engine, "workflow", HEAD "steps: [{id: a, sleep: 1h}]\n", "workflow",
                     "name: v\non: [{event: app.ping}]\nsteps: [{id: a, sleep: 1h}]\n", NULL);
    snprintf(more, sizeof more, ",\"runs\":[{\"uid\":\"%s\",\"state\":3,\"lost\":0,\"steps\":[]},", run_of("w"));
    snprintf(more + strlen(more), sizeof more - strlen(more), "{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"steps\":[]}]", run_of("v"));
    engine_event_with(&engine, "{}", more, NULL, 0);
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_true(json_is_true(json_object_get(report->head, "done")));
    assert_int_equal(number(report->head, "matched"), 2);
    assert_int_equal(json_array_size(json_object_get(report->head, "runs")), 0);
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_that_only_sleeps_is_parked),
        cmocka_unit_test(test_a_sleep_can_be_computed_and_have_an_end),
        cmocka_unit_test(test_a_short_sleep_stays_in_memory),
        cmocka_unit_test(test_a_run_is_not_parked_while_a_step_is_at_work),
        cmocka_unit_test(test_what_did_not_end_goes_on_waiting),
        cmocka_unit_test(test_a_wait_registers_its_events_and_gives_the_one_that_came),
        cmocka_unit_test(test_since_says_which_events_count),
        cmocka_unit_test(test_an_event_whose_field_differs_does_not_end_a_wait),
        cmocka_unit_test(test_a_wait_goes_on_behind_an_event_that_its_if_refuses),
        cmocka_unit_test(test_a_wait_that_was_too_long_fails_or_says_so),
        cmocka_unit_test(test_a_wait_for_nothing_that_could_be_there_is_an_error),
        cmocka_unit_test(test_waits_beside_a_failure_come_to_their_end),
        cmocka_unit_test(test_a_recorded_retry_beside_a_failure_has_failed),
        cmocka_unit_test(test_a_recorded_wait_beside_a_failure_comes_to_its_end),
        cmocka_unit_test(test_a_retry_that_is_far_away_parks_the_run),
        cmocka_unit_test(test_a_run_ends_when_its_timeout_is_over),
        cmocka_unit_test(test_a_parked_run_is_left_alone_when_its_event_is_recovered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
