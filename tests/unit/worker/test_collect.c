/* `collect` in the worker: an event is reported to be gathered; a run that was made of several reads all of them. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping, if: \"event.data.n ~= 0\"}, {manual: true}]\n"
#define STEPS "steps: [{id: a, set: {n: 1}}]\n"
enum { BLOCKED = 1 };

static const json_t *report_of(struct engine *engine, const char *workflow, const char *body, const char *more, int state)
{
    engine_start(engine);
    engine_load_good(engine, "workflow", workflow, NULL);
    engine_event_with(engine, body, more, NULL, 0);
    return only_run(engine, state);
}

static void test_an_event_is_reported_with_its_group_and_no_run_begins(void **state)
{
    struct engine engine;
    (void)state;
    const json_t *run = report_of(&engine, HEAD STEPS "collect: {quiet: 2m, max_wait: 15m, max_events: 50}\n", "{}", "", BLOCKED);
    const json_t *collect = json_object_get(run, "collect");
    assert_int_equal(strlen(text(collect, "group")), 64);
    assert_int_equal(number(collect, "quiet_ms"), 120000);
    assert_int_equal(number(collect, "max_wait_ms"), 900000);
    assert_int_equal(number(collect, "max_events"), 50);
    assert_int_equal(step_count(run), 0);
    assert_true(json_is_true(json_object_get(engine.answer.head, "done")));
    assert_int_equal(number(engine.answer.head, "matched"), 1);
    assert_null(engine_poll(&engine, 100));
    engine_stop(&engine);
}

static void test_a_key_makes_groups_and_a_trigger_that_does_not_match_nothing(void **state)
{
    static const char keyed[] = HEAD STEPS "collect: {quiet: 2m, key: event.data.k}\n";
    char groups[3][72];
    static const char *const bodies[] = {"{\"k\":\"a\"}", "{\"k\":\"a\",\"n\":5}", "{\"k\":\"b\"}"};
    struct engine engine;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const json_t *run = report_of(&engine, keyed, bodies[i], "", BLOCKED);
        snprintf(groups[i], sizeof groups[i], "%s", text(json_object_get(run, "collect"), "group"));
        engine_stop(&engine);
    }
    assert_string_equal(groups[0], groups[1]);
    assert_string_not_equal(groups[0], groups[2]);
    engine_start(&engine);
    engine_load_good(&engine, "workflow", keyed, NULL);
    engine_event(&engine, "{\"n\":0}");
    const json_t *report = engine_next(&engine, BW_MSG_REPORT)->head;
    assert_int_equal(number(report, "matched"), 0);
    assert_int_equal(json_array_size(json_object_get(report, "runs")), 0);
    engine_stop(&engine);
}

static void test_times_are_told_as_durations_since_its_run_begins_later(void **state)
{
    struct engine engine;
    (void)state;
    const json_t *run = report_of(&engine, HEAD STEPS "collect: {quiet: 2m}\ndelay: 5m\nstart_within: 1h\nconcurrency: {}\n", "{}", "", BLOCKED);
    assert_int_equal(number(run, "ready_ms"), 300000);
    assert_int_equal(number(run, "until_ms"), 3600000);
    assert_non_null(json_object_get(run, "slot"));
    engine_stop(&engine);
}

static void test_a_key_that_cannot_be_told_fails_the_run_of_the_event(void **state)
{
    struct engine engine;
    (void)state;
    const json_t *run = report_of(&engine, HEAD STEPS "collect: {quiet: 2m, key: event.data.k .. 'x'}\n", "{}", "", FAILED);
    assert_null(json_object_get(run, "collect"));
    engine_stop(&engine);
}

static void test_who_is_started_by_hand_runs_at_once_and_is_all_events(void **state)
{
    struct engine engine;
    (void)state;
    const json_t *run = report_of(&engine,
                                  HEAD "collect: {quiet: 2m}\nsteps: [{id: a, set: {all: \"${{ map(events, 'data.n') }}\", id: \"${{ events[1].id == "
                                       "event.id }}\"}}]\n",
                                  "{\"n\":7}", ",\"workflow\":\"w\"", SUCCEEDED);
    assert_int_equal(step_count(run), 1);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"all\":[7],\"id\":true}");
    engine_stop(&engine);
}

/* The run of event 7 and of these before it. */
static void hand_out(struct engine *engine, const char *workflow, const char *body, const struct bw_slice *parts, size_t count, const char *list)
{
    char more[2000];
    engine_start(engine);
    engine_load_good(engine, "workflow", workflow, NULL);
    snprintf(more, sizeof more,
             ",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"started_ms\":%lld,\"steps\":[]}],\"resume\":\"w\",\"collected\":[%s]",
             run_of("w"), (long long)bw_clock_wall_ms(), list);
    engine_event_with(engine, body, more, parts, count);
}

static void test_a_run_reads_all_of_its_events_the_last_one_behind_the_others(void **state)
{
    static const char workflow[] =
        HEAD "collect: {quiet: 2m}\n"
             "steps:\n"
             "  - {id: a, set: {n: \"${{ len(events) }}\", all: \"${{ map(events, 'data.n') }}\", last: \"${{ events[#events].id == event.id }}\"}}\n"
             "  - {id: b, set: {first: \"${{ events[1] }}\"}}\n"
             "  - {id: c, set: {text: \"${{ events[2].data }}\", bytes: \"${{ events[3].body_base64 }}\", none: \"${{ events[9] or 'none' }}\"}}\n";
    const struct bw_slice parts[] = {BW_SLICE("{\"n\": 1}"), BW_SLICE("{\"h\":\"v\"}"), BW_SLICE("no json"), BW_SLICE(""), {"\xff\0", 2},
                                     BW_SLICE("{")};
    struct engine engine;
    (void)state;
    hand_out(&engine, workflow, "{\"n\":4}", parts, 6,
             "{\"uid\":\"evt_a\",\"name\":\"app.one\",\"source\":\"app\",\"at_ms\":5,\"trusted\":true,\"body_part\":2,\"headers_part\":3},"
             "{\"uid\":\"evt_b\",\"name\":\"app.two\",\"source\":\"app\",\"at_ms\":6,\"trusted\":false,\"body_part\":4,\"headers_part\":5},"
             "{\"uid\":\"evt_c\",\"name\":\"app.three\",\"source\":\"app\",\"at_ms\":7,\"trusted\":false,\"body_part\":6,\"headers_part\":7}");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(step_count(run), 3);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"n\":4,\"all\":[1,null,null,4],\"last\":true}");
    assert_string_equal(output(&engine.answer, step_at(run, 1)),
                        "{\"first\":{\"id\":\"evt_a\",\"name\":\"app.one\",\"source\":\"app\",\"at\":5,\"trusted\":true,\"headers\":{\"h\":\"v\"},"
                        "\"data\":{\"n\": 1}}}");
    assert_string_equal(output(&engine.answer, step_at(run, 2)), "{\"text\":\"no json\",\"bytes\":\"/wA=\",\"none\":\"none\"}");
    engine_stop(&engine);
}

static void test_what_a_foreach_needs_of_them_is_told(void **state)
{
    static const char *const workflows[] = {
        HEAD "collect: {quiet: 2m}\nsteps: [{id: f, foreach: events, steps: [{id: a, set: {n: \"${{ item.id }}\"}}]}]\n",
        HEAD "collect: {quiet: 2m}\nsteps: [{id: f, foreach: events, steps: [{id: a, set: {n: \"${{ len(events) }}\"}}]}]\n"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct engine engine;
        hand_out(&engine, workflows[i], "{}", NULL, 0, "");
        const json_t *join = json_object_get(step_at(only_run(&engine, PARKED), 0), "join");
        assert_non_null(join);
        assert_int_equal(json_is_true(json_object_get(join, "events")), i == 1);
        assert_int_equal(json_is_true(json_object_get(join, "event")), i == 1);
        engine_stop(&engine);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_is_reported_with_its_group_and_no_run_begins),
        cmocka_unit_test(test_a_key_makes_groups_and_a_trigger_that_does_not_match_nothing),
        cmocka_unit_test(test_times_are_told_as_durations_since_its_run_begins_later),
        cmocka_unit_test(test_a_key_that_cannot_be_told_fails_the_run_of_the_event),
        cmocka_unit_test(test_who_is_started_by_hand_runs_at_once_and_is_all_events),
        cmocka_unit_test(test_a_run_reads_all_of_its_events_the_last_one_behind_the_others),
        cmocka_unit_test(test_what_a_foreach_needs_of_them_is_told),
    };
    return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
