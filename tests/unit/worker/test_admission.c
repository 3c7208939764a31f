/* What a worker says of a run that may have to wait before it begins: by what it is counted, when it is ready, how long it waits. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\nsteps: [{id: a, set: {n: 1}}]\n"
#define AT_MS 1700000000000LL
enum { BLOCKED = 1 };

/* The one run of an event with this body. */
static const json_t *report_of(struct engine *engine, const char *workflow, const char *body, int state)
{
    engine_start(engine);
    engine_load_good(engine, "workflow", workflow, NULL);
    engine_event(engine, body);
    return only_run(engine, state);
}

static void group_of(const char *workflow, const char *body, const char *key, char out[72])
{
    struct engine engine;
    const json_t *run = report_of(&engine, workflow, body, BLOCKED);
    snprintf(out, 72, "%s", text(json_object_get(run, key), "group"));
    assert_int_equal(strlen(out), 64);
    engine_stop(&engine);
}

static void test_a_run_with_a_rate_is_reported_and_not_begun(void **state)
{
    struct engine engine;
    (void)state;
    const json_t *run = report_of(&engine, HEAD "rate: {limit: 5/1h, burst: 3, over: skip}\ntimeout: 2h\n", "{}", BLOCKED);
    const json_t *rate = json_object_get(run, "rate");
    assert_int_equal(step_count(run), 0);
    assert_int_equal(number(rate, "count"), 5);
    assert_int_equal(number(rate, "period_ms"), 3600000);
    assert_int_equal(number(rate, "burst"), 3);
    assert_int_equal(number(rate, "most_ms"), 7200000);
    assert_true(json_is_true(json_object_get(rate, "skips")));
    assert_null(json_object_get(run, "slot"));
    assert_int_equal(number(run, "ready_ms"), -1);
    assert_int_equal(number(run, "until_ms"), -1);
    assert_null(engine_poll(&engine, 100));
    engine_stop(&engine);
}

static void test_times_count_from_the_event_on(void **state)
{
    struct engine engine;
    (void)state;
    const json_t *run = report_of(&engine, HEAD "delay: \"${{ event.data.n }}m\"\nstart_within: 1h\n", "{\"n\":5}", BLOCKED);
    assert_int_equal(number(run, "ready_ms"), AT_MS + 300000);
    assert_int_equal(number(run, "until_ms"), AT_MS + 3600000);
    assert_null(json_object_get(run, "rate"));
    engine_stop(&engine);
}

static void test_a_slot_is_asked_for_with_its_priority(void **state)
{
    struct engine engine;
    (void)state;
    const json_t *run = report_of(&engine, HEAD "concurrency: {limit: 2, on_failed: hold}\npriority: event.data.n * 2\n", "{\"n\":-30}", BLOCKED);
    const json_t *slot = json_object_get(run, "slot");
    assert_int_equal(number(slot, "most"), 2);
    assert_int_equal(json_integer_value(json_object_get(slot, "priority")), -60);
    assert_true(json_is_true(json_object_get(slot, "holds_failed")));
    engine_stop(&engine);
}

static void test_a_group_is_of_a_workflow_a_kind_and_a_key(void **state)
{
    static const char keyed[] = HEAD "rate: {limit: 1/1s, key: event.data.k}\nconcurrency: {key: event.data.k}\n";
    static const char changed[] = HEAD "rate: {limit: 9/1d, key: (event.data.k), burst: 4}\n";
    static const char other[] = "name: v\non: [{event: app.ping}]\nsteps: [{id: a, set: {n: 1}}]\nrate: {limit: 1/1s, key: event.data.k}\n";
    char a[72], same[72], next[72], slot[72], stranger[72];
    (void)state;
    group_of(keyed, "{\"k\":\"a\"}", "rate", a);
    group_of(changed, "{\"k\":\"a\",\"x\":1}", "rate", same); /* another version owes what the first one does */
    group_of(keyed, "{\"k\":\"b\"}", "rate", next);
    group_of(keyed, "{\"k\":\"a\"}", "slot", slot);
    group_of(other, "{\"k\":\"a\"}", "rate", stranger);
    assert_string_equal(a, same);
    assert_string_not_equal(a, next);
    assert_string_not_equal(a, slot);
    assert_string_not_equal(a, stranger);
}

/* By hand they come from the data, else from their defaults. */
static void test_a_key_may_be_what_the_run_is_called_with(void **state)
{
    static const char by_inputs[] = HEAD "inputs: {k: {type: string, default: \"${{ event.data.other }}\"}}\nrate: {limit: 1/1s, key: inputs.k}\n";
    static const char by_event[] = HEAD "rate: {limit: 1/1s, key: event.data.k}\n";
    char a[72], b[72];
    struct engine engine;
    (void)state;
    group_of(by_inputs, "{\"other\":\"x\"}", "rate", a);
    group_of(by_event, "{\"k\":\"x\"}", "rate", b);
    assert_string_equal(a, b);
    assert_string_equal(code_of(report_of(&engine, by_inputs, "{\"other\":5}", FAILED)), "input.type");
    engine_stop(&engine);
}

static void test_what_cannot_be_told_fails_the_run(void **state)
{
    static const struct {
        const char *workflow, *code;
    } cases[] = {
        {HEAD "rate: {limit: 1/1s, key: event.data.n.no()}\n", "expr.error"},
        {HEAD "delay: \"${{ event.data.n }} minutes\"\n", "delay.value"},
        {HEAD "delay: \"${{ event.data.n }}\"\n", "delay.value"},
        {HEAD "delay: \"${{ event.data.n }}000d\"\n", "delay.value"},
        {HEAD "concurrency: {}\npriority: event.data.n * 1000\n", "priority.value"},
        {HEAD "concurrency: {}\npriority: event.data.nothing\n", "priority.value"},
        {HEAD "concurrency: {}\npriority: \"'5'\"\n", "priority.value"},
        {HEAD "concurrency: {}\npriority: 0/0\n", "expr.error"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        const json_t *run = report_of(&engine, cases[i].workflow, "{\"n\":5}", FAILED);
        if (strcmp(code_of(run), cases[i].code) != 0) fail_msg("%s: %s", cases[i].workflow, code_of(run));
        engine_stop(&engine);
    }
}

static void test_without_such_keys_a_run_begins_at_once(void **state)
{
    struct engine engine;
    (void)state;
    report_of(&engine, HEAD, "{}", SUCCEEDED);
    engine_stop(&engine);
}

static void test_one_that_waits_is_left_alone_when_its_event_is_looked_at_again(void **state)
{
    static const int states[] = {BLOCKED, 4};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct engine engine;
        char more[256];
        engine_start(&engine);
        engine_load_good(&engine, "workflow", HEAD "rate: {limit: 1/1s}\n", NULL);
        snprintf(more, sizeof more, ",\"runs\":[{\"uid\":\"%s\",\"state\":%d,\"woken\":false,\"started_ms\":1,\"lost\":0,\"steps\":[]}]", run_of("w"),
                 states[i]);
        engine_event_with(&engine, "{}", more, NULL, 0);
        const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
        assert_true(json_is_true(json_object_get(report->head, "done")));
        assert_null(run_at(report, 0));
        engine_stop(&engine);
    }
}

#define PLUGIN "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\"}]}"
#define CANCELLED_BY_EVENT "name: w\non: [{event: app.ping}]\ndelay: 1h\ncancel_on: [{event: app.stop}]\nsteps: [{id: a, uses: my/call@1}]\n"

/* It was delayed and is handed out; the number of its first report. */
static int64_t begin_late(struct engine *engine)
{
    char more[300];
    engine_start(engine);
    engine_load_good(engine, "plugin", PLUGIN, "workflow", CANCELLED_BY_EVENT, NULL);
    snprintf(more, sizeof more,
             ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"started_ms\":%lld,\"lost\":0,\"steps\":[]}]", run_of("w"),
             (long long)bw_clock_wall_ms());
    engine_event_with(engine, "{}", more, NULL, 0);
    const struct answer *report = engine_next(engine, BW_MSG_REPORT);
    assert_true(json_is_true(json_object_get(report->head, "ack")));
    assert_string_equal(text(step_at(run_at(report, 0), 0), "path"), BW_CANCEL_ON_PATH);
    assert_null(engine_poll(engine, 100)); /* no call: an event may have come meanwhile */
    return number(report->head, "report");
}

static void test_who_begins_late_does_nothing_before_it_has_heard_of_what_cancels_it(void **state)
{
    struct engine engine;
    struct bw_slice body = BW_SLICE("{}");
    char uid[BW_UID_TEXT];
    (void)state;
    int64_t first = begin_late(&engine);
    engine_commit(&engine, first);
    engine_next(&engine, BW_MSG_CALL);
    engine_stop(&engine);

    int64_t report = begin_late(&engine);
    engine_send(&engine, BW_MSG_CANCEL_EVENT, &body, 1,
                "{\"run\":\"%s\",\"wake\":{\"arm\":0,\"at_ms\":1,\"event\":{\"id\":9,\"uid\":\"%s\",\"at_ms\":1,\"trusted\":true,\"name\":"
                "\"app.stop\",\"source\":\"app\"}},\"body_part\":0}",
                run_of("w"), bw_uid_text(event_uid, BW_UID_EVENT, uid));
    engine_commit(&engine, report);
    only_run(&engine, CANCELLED);
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_with_a_rate_is_reported_and_not_begun),
        cmocka_unit_test(test_times_count_from_the_event_on),
        cmocka_unit_test(test_a_slot_is_asked_for_with_its_priority),
        cmocka_unit_test(test_a_group_is_of_a_workflow_a_kind_and_a_key),
        cmocka_unit_test(test_a_key_may_be_what_the_run_is_called_with),
        cmocka_unit_test(test_what_cannot_be_told_fails_the_run),
        cmocka_unit_test(test_without_such_keys_a_run_begins_at_once),
        cmocka_unit_test(test_who_begins_late_does_nothing_before_it_has_heard_of_what_cancels_it),
        cmocka_unit_test(test_one_that_waits_is_left_alone_when_its_event_is_looked_at_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
