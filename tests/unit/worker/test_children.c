/* Runs in runs, as a worker sees them: what a step hands over, what an item gets, what becomes of their ends. */
#include "fake_engine.h"

#define FAN                                                                                                                                        \
    "name: w\non: [{event: app.ping}]\nvars: {v: 1}\nsteps:\n"                                                                                     \
    "  - {id: pre, set: {base: 10}}\n  - {id: unread, set: {x: 1}}\n"                                                                              \
    "  - id: fan\n    foreach: \"${{ event.data.list }}\"\n    as: page\n    key: \"${{ 'p' .. page }}\"\n    concurrency: 3\n    tolerate: 50%\n" \
    "    steps:\n      - {id: get, set: {n: \"${{ page + steps.pre.base }}\", i: \"${{ index }}\"}}\n"                                             \
    "      - {id: last, if: \"${{ steps.get.n > 11 }}\", set: {n: \"${{ steps.get.n + item }}\"}}\n"                                               \
    "  - {id: after, set: {n: \"${{ steps.fan.succeeded }}\"}}\noutputs: {fan: \"${{ steps.fan }}\"}\n"
#define CALL                                                                                                          \
    "name: w\non: [{event: app.ping}]\nsteps: [{id: call, uses: workflow/other, with: {n: 1}}]\n---\n"                \
    "name: other\non: [{call: true}]\ninputs: {n: {type: integer, required: true}, m: {type: integer, default: 5}}\n" \
    "steps: [{id: s, set: {sum: \"${{ inputs.n + inputs.m }}\"}}]\noutputs: {sum: \"${{ steps.s.sum }}\"}\n"

static void begin(struct engine *engine, const char *workflow, const char *body)
{
    engine_start(engine);
    engine_load_good(engine, "workflow", workflow, NULL);
    engine_event(engine, body);
}

static const json_t *join_of(const json_t *step)
{
    return json_object_get(step, "join");
}

/* The parent is woken: what has become of its children. */
static void join(struct engine *engine, const char *step, const char *children, const char *items)
{
    char *more = NULL;
    struct bw_slice part = bw_slice_of(items);
    assert_true(asprintf(&more,
                         ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"steps\":["
                         "{\"path\":\"%s\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"wake\":{\"kind\":4,\"arm\":0,\"at_ms\":2,\"event\":0},"
                         "\"children\":{%s,\"items_part\":2}}]}]",
                         run_of("w"), (long long)bw_clock_wall_ms(), step, children) > 0);
    engine_event_with(engine, "{\"list\":[1,2,3,4]}", more, &part, 1);
    free(more);
}

static void test_a_foreach_hands_its_items_over_and_parks(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, FAN, "{\"list\":[1,\"two\",{\"three\":3}]}");
    const json_t *run = only_run(&engine, PARKED), *step = step_at(run, 2), *handed = join_of(step);
    assert_int_equal(step_count(run), 3);
    assert_int_equal(number(step, "state"), 3);
    assert_int_equal(number(handed, "total"), 3);
    assert_int_equal(number(handed, "concurrency"), 3);
    assert_int_equal(number(handed, "allowed"), 1); /* half of three */
    assert_int_equal(number(handed, "depth"), 1);
    struct bw_slice items = engine.answer.parts[number(handed, "items_part")], context = engine.answer.parts[number(handed, "context_part")];
    assert_int_equal(items.len, 3 * 4 + 1 + 5 + 11);
    assert_memory_equal(items.ptr, "\1\0\0\0001\5\0\0\0\"two\"\13\0\0\0{\"three\":3}", items.len);
    assert_non_null(memmem(context.ptr, context.len, "\"path\":\"pre\"", 12));
    assert_null(memmem(context.ptr, context.len, "unread", 6)); /* only what the items read */
    assert_true(json_is_false(json_object_get(handed, "event")));
    engine_stop(&engine);
}

/* A large event would else be copied for each of very many items. */
static void test_the_event_is_asked_for_when_something_inside_reads_it(void **state)
{
    static const char *const bodies[] = {"{id: s, set: {n: \"${{ event.id }}\"}}", "{id: t, if: event.data.x, set: {}}",
                                         "{id: f, foreach: [1], steps: [{id: s, set: {n: \"${{ event.at }}\"}}]}",
                                         "{id: s, set: {n: \"${{ item.event }} ${{ vars.event }}\"}}"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct engine engine;
        char *workflow = NULL;
        assert_true(asprintf(&workflow,
                             "name: w\nvars: {event: 1}\non: [{event: app.ping}]\nsteps: [{id: fan, foreach: event.data.list, steps: [%s]}]\n",
                             bodies[i]) > 0);
        begin(&engine, workflow, "{\"list\":[1]}");
        const json_t *handed = join_of(step_at(only_run(&engine, PARKED), 0));
        assert_int_equal(json_is_true(json_object_get(handed, "event")), i < 3);
        free(workflow);
        engine_stop(&engine);
    }
}

static void test_an_empty_list_is_a_success_at_once(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, FAN, "{\"list\":[]}");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, step_at(run, 2)), "{\"total\":0,\"succeeded\":0,\"failed\":0,\"failed_keys\":[],\"items\":[]}");
    engine_stop(&engine);
}

static void test_what_is_no_list_has_its_error(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, FAN, "{\"list\":\"abc\"}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "foreach.no_list");
    engine_event(&engine, "{}");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "foreach.no_list");
    engine_stop(&engine);
}

static void test_the_output_has_the_items_in_order_and_the_keys_of_those_that_failed(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, FAN, "{\"list\":[1,2,3,4]}");
    only_run(&engine, PARKED);
    join(&engine, "fan", "\"total\":4,\"started\":4,\"succeeded\":2,\"failed\":2,\"failed_items\":[1,3],\"failed_run\":\"run_x\"",
         "[{\"n\":1},null,{\"n\":3},null]");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"fan\":{\"total\":4,\"succeeded\":2,\"failed\":2,\"failed_keys\":[\"p2\",\"p4\"],"
                                                     "\"items\":[{\"n\":1},null,{\"n\":3},null]}}");
    engine_stop(&engine);
}

static void test_more_failures_than_tolerated_fail_the_step_with_counts(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, FAN, "{\"list\":[1,2,3,4]}");
    only_run(&engine, PARKED);
    join(&engine, "fan",
         "\"total\":4,\"started\":3,\"succeeded\":0,\"failed\":3,\"failed_items\":[0,1,2],\"failed_run\":\"run_x\",\"error\":{\"code\":\"busy\","
         "\"message\":\"m\"}",
         "[null,null,null]");
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "foreach.failed");
    assert_string_equal(text(json_object_get(run, "error"), "message"),
                        "3 of 4 items failed, 2 are tolerated, 1 were not started; the first failure: m [busy]");
    engine_stop(&engine);
}

static void test_items_that_are_too_large_together_are_left_out(void **state)
{
    (void)state;
    struct engine engine;
    struct bw_buf items = {0};
    bw_buf_append_text(&items, "[\"");
    for (int i = 0; i < 1 << 20; i++) bw_buf_append_char(&items, 'x');
    bw_buf_append_text(&items, "\"]");
    bw_buf_append_char(&items, '\0');
    begin(&engine, FAN, "{\"list\":[1,2,3,4]}");
    only_run(&engine, PARKED);
    join(&engine, "fan", "\"total\":4,\"started\":4,\"succeeded\":4,\"failed\":0,\"failed_items\":[]", items.data);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run),
                        "{\"fan\":{\"total\":4,\"succeeded\":4,\"failed\":0,\"failed_keys\":[],\"items_left_out\":true}}");
    bw_buf_free(&items);
    engine_stop(&engine);
}

static const char child_uid[] = "run_01m85000000000000000000000";

/* A run that a step of another one has started. */
static void child(struct engine *engine, const char *workflow, const char *is_call, const char *input, const char *context, const char *steps)
{
    char *more = NULL;
    struct bw_slice parts[] = {bw_slice_of(input), bw_slice_of(context)};
    assert_true(asprintf(&more,
                         ",\"resume\":\"%s\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"steps\":[%s],"
                         "\"child\":{\"path\":\"fan\",\"parent\":\"%s\",\"item\":4,\"depth\":1,\"call\":%s,\"input_part\":2,\"context_part\":3}}]",
                         workflow, child_uid, (long long)bw_clock_wall_ms(), steps, run_of("w"), is_call) > 0);
    engine_event_with(engine, "{\"list\":[1]}", more, parts, 2);
    free(more);
}

#define CONTEXT "{\"inputs\":\"{}\",\"locals\":\"\",\"steps\":[{\"path\":\"pre\",\"state\":20,\"output\":\"{\\\"base\\\":10}\",\"error\":\"\"}]}"

static void test_an_item_runs_the_steps_inside_alone(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow", FAN, NULL);
    child(&engine, "w", "false", "7", CONTEXT, "");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(text(run, "uid"), child_uid);
    assert_int_equal(step_count(run), 2);
    assert_string_equal(text(step_at(run, 0), "path"), "get");
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"n\":17,\"i\":5}");
    assert_string_equal(output(&engine.answer, run), "{\"n\":24}"); /* that of its last step */
    child(&engine, "w", "false", "1", CONTEXT, "");
    run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"n\":11,\"i\":5}"); /* the last one was skipped */
    engine_stop(&engine);
}

static void test_an_item_goes_on_from_what_is_recorded_of_it(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow", FAN, NULL);
    char *more = NULL;
    struct bw_slice parts[] = {BW_SLICE("7"), bw_slice_of(CONTEXT), BW_SLICE("{\"n\":100}")};
    assert_true(asprintf(&more,
                         ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"steps\":["
                         "{\"path\":\"get\",\"state\":20,\"attempt\":1,\"started_ms\":1,\"output_part\":4}],"
                         "\"child\":{\"path\":\"fan\",\"parent\":\"%s\",\"item\":4,\"depth\":1,\"call\":false,\"input_part\":2,\"context_part\":3}}]",
                         child_uid, (long long)bw_clock_wall_ms(), run_of("w")) > 0);
    engine_event_with(&engine, "{}", more, parts, 3);
    free(more);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(step_count(run), 1);
    assert_string_equal(output(&engine.answer, run), "{\"n\":107}");
    engine_stop(&engine);
}

static void test_a_call_parks_and_takes_over_the_output(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CALL, "{}");
    const json_t *handed = join_of(step_at(only_run(&engine, PARKED), 0));
    assert_string_equal(text(handed, "workflow"), "other");
    assert_true(json_is_true(json_object_get(handed, "call")));
    join(&engine, "call", "\"total\":1,\"started\":1,\"succeeded\":1,\"failed\":0,\"state\":20,\"failed_items\":[]", "[{\"sum\":6}]");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"sum\":6}");
    engine_stop(&engine);
}

static void test_the_failure_of_a_called_workflow_is_the_failure_of_the_step(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CALL, "{}");
    only_run(&engine, PARKED);
    join(&engine, "call",
         "\"total\":1,\"started\":1,\"succeeded\":0,\"failed\":1,\"state\":21,\"failed_items\":[0],\"failed_run\":\"run_x\",\"error\":{\"code\":"
         "\"odd\",\"message\":\"m\"}",
         "[null]");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "odd");
    engine_event(&engine, "{}");
    only_run(&engine, PARKED);
    join(&engine, "call", "\"total\":1,\"started\":1,\"succeeded\":1,\"failed\":0,\"state\":23,\"failed_items\":[]", "[null]");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(number(step_at(run, 0), "state"), SKIPPED);
    engine_stop(&engine);
}

static void test_a_called_workflow_has_its_inputs_with_defaults(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow", CALL, NULL);
    child(&engine, "other", "true", "{\"n\":1}", "", "");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"sum\":6}");
    child(&engine, "other", "true", "{}", "", "");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "input.missing");
    child(&engine, "other", "true", "{\"n\":1,\"o\":2}", "", "");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "input.unknown");
    engine_stop(&engine);
}

#define ADMITTED                                                                                                                           \
    "name: other\non: [{call: true}, {event: app.pong}]\ninputs: {k: {type: string, default: \"${{ event.data.k }}\"}, n: {default: 7}}\n" \
    "concurrency: {key: inputs.k, limit: 2, when_full: skip}\npriority: inputs.n\nrate: {limit: 5/1h, key: \"${{ inputs.k }}\"}\n"         \
    "delay: \"${{ inputs.n }}s\"\nstart_within: 1h\nsteps: [{id: s, set: {}}]\n"

static const json_t *call_admitted(struct engine *engine, const char *with, int state)
{
    char workflow[1200];
    snprintf(workflow, sizeof workflow, "name: w\non: [{event: app.ping}]\nsteps: [{id: call, uses: workflow/other, with: %s}]\n---\n" ADMITTED,
             with);
    begin(engine, workflow, "{\"k\":\"ev\"}");
    return only_run(engine, state);
}

static void test_a_call_says_by_what_its_run_is_admitted(void **state)
{
    struct engine engine;
    int64_t before_ms = bw_clock_wall_ms();
    (void)state;
    const json_t *handed = join_of(step_at(call_admitted(&engine, "{k: one, n: 30}", PARKED), 0)), *slot = json_object_get(handed, "slot");
    assert_int_equal(number(slot, "most"), 2);
    assert_int_equal(number(slot, "when_full"), 1);
    assert_int_equal(number(slot, "priority"), 30);
    assert_int_equal(number(json_object_get(handed, "rate"), "count"), 5);
    assert_true(number(handed, "ready_ms") >= before_ms + 30000 && number(handed, "ready_ms") <= bw_clock_wall_ms() + 30000); /* from the call on */
    assert_int_equal(number(handed, "until_ms") - number(handed, "ready_ms"), 3600000 - 30000);
    engine_stop(&engine);
}

static void test_a_call_goes_past_collect(void **state)
{
    struct engine engine;
    (void)state;
    begin(&engine,
          "name: w\non: [{event: app.ping}]\nsteps: [{id: call, uses: workflow/other}]\n---\n"
          "name: other\non: [{call: true}, {event: app.pong}]\ncollect: {quiet: 1h, key: event.data.no.no}\nconcurrency: {}\nsteps: [{id: s, set: "
          "{}}]\n",
          "{}");
    const json_t *handed = join_of(step_at(only_run(&engine, PARKED), 0));
    assert_int_equal(number(json_object_get(handed, "slot"), "most"), 1);
    assert_null(json_object_get(handed, "collect"));
    engine_stop(&engine);
}

/* A run of an event and one that is called count together when their keys are the same. */
static void test_the_group_of_a_call_is_that_of_an_event_with_this_key(void **state)
{
    static const char *const withs[] = {"{k: one}", "{k: ev}", "{n: 1}"};
    char groups[4][72];
    struct engine engine;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const json_t *slot = json_object_get(join_of(step_at(call_admitted(&engine, withs[i], PARKED), 0)), "slot");
        snprintf(groups[i], sizeof groups[i], "%s", text(slot, "group"));
        engine_stop(&engine);
    }
    engine_start(&engine);
    engine_load_good(&engine, "workflow", "name: other\non: [{event: app.ping}]\nconcurrency: {key: event.data.k}\nsteps: [{id: s, set: {}}]\n",
                     NULL);
    engine_event(&engine, "{\"k\":\"ev\"}");
    snprintf(groups[3], sizeof groups[3], "%s", text(json_object_get(only_run(&engine, 1), "slot"), "group"));
    engine_stop(&engine);
    assert_string_not_equal(groups[0], groups[1]);
    assert_string_equal(groups[1], groups[2]); /* the default is of the event */
    assert_string_equal(groups[1], groups[3]);
}

static void test_what_cannot_be_told_of_a_call_fails_the_step(void **state)
{
    static const struct {
        const char *with, *code;
    } cases[] = {
        {"{k: one, n: 5000}", "priority.value"}, {"{k: one, n: x}", "priority.value"}, {"{k: 5}", "input.type"}, {"{o: 5}", "input.unknown"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        const json_t *run = call_admitted(&engine, cases[i].with, FAILED);
        if (strcmp(code_of(run), cases[i].code) != 0) fail_msg("%s: %s", cases[i].with, code_of(run));
        assert_null(join_of(step_at(run, 0)));
        engine_stop(&engine);
    }
}

/* Its worker evaluates the key: it needs the event though no step of it reads that. */
static void test_who_calls_what_is_admitted_by_the_event_is_handed_that(void **state)
{
    static const char *const keys[] = {"event.data.k", "vars.v"};
    struct engine engine;
    char workflow[600];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        snprintf(workflow, sizeof workflow,
                 "name: w\non: [{event: app.ping}]\nsteps: [{id: a, uses: workflow/between}]\n---\n"
                 "name: between\non: [{call: true}]\nsteps: [{id: a, uses: workflow/other}]\n---\n"
                 "name: other\non: [{call: true}]\nvars: {v: 1}\nconcurrency: {key: %s}\nsteps: [{id: a, set: {}}]\n",
                 keys[i]);
        begin(&engine, workflow, "{\"k\":1}");
        const json_t *handed = join_of(step_at(only_run(&engine, PARKED), 0));
        assert_string_equal(text(handed, "workflow"), "between");
        assert_int_equal(json_is_true(json_object_get(handed, "event")), i == 0);
        assert_null(json_object_get(handed, "slot"));
        engine_stop(&engine);
    }
}

static void test_children_begin_while_the_run_is_still_at_work(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(
        &engine, "plugin", "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"answered by the test\"}]}", "workflow",
        "name: w\non: [{event: app.ping}]\nsteps: [{parallel: [{id: slow, uses: my/call@1}, {id: fan, foreach: [1], steps: [{id: s, set: {}}]}]}]\n",
        NULL);
    engine_event(&engine, "{}");
    int64_t call = number(engine_next(&engine, BW_MSG_CALL)->head, "call");
    const json_t *run = run_at(engine_next(&engine, BW_MSG_REPORT), 0);
    assert_int_equal(number(run, "state"), ACTIVE);
    assert_int_equal(number(join_of(step_at(run, 0)), "total"), 1);
    /* Now they are under way, and a step that fails beside them does not end them. */
    engine_send(&engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"fail\",\"error\":{\"code\":\"no\",\"message\":\"no\"}}",
                (long long)call);
    run = only_run(&engine, PARKED);
    assert_int_equal(step_count(run), 1);
    assert_string_equal(text(step_at(run, 0), "path"), "slow");
    engine_stop(&engine);
}

/* Its items would do their work for a run that has failed. */
static void test_a_foreach_beside_a_step_that_fails_at_once_starts_nothing(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine,
          "name: w\non: [{event: app.ping}]\nsteps: [{parallel: [{id: fan, foreach: [1], steps: [{id: s, set: {}}]}, {id: bad, set: {x: \"${{ nil .. "
          "1 }}\"}}]}]\n",
          "{}");
    const json_t *run = only_run(&engine, FAILED);
    for (size_t i = 0; i < step_count(run); i++) assert_null(join_of(step_at(run, i)));
    engine_stop(&engine);
}

static void test_a_caller_of_what_is_not_there_is_left_out_and_its_callers_too(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    const json_t *head = engine_load(
        &engine, "workflow",
        "name: a\non: [{manual: true}]\nsteps: [{id: s, uses: workflow/b}]\n---\n"
        "name: b\non: [{call: true}]\nsteps: [{id: s, uses: workflow/othr}]\n---\n"
        "name: other\non: [{call: true}]\nsteps: [{id: s, set: {}}]\n---\n"
        "name: c\non: [{manual: true}]\nsteps: [{id: s, uses: workflow/d}]\n---\nname: d\non: [{manual: true}]\nsteps: [{id: s, set: {}}]\n",
        NULL);
    const json_t *errors = json_object_get(head, "errors");
    assert_int_equal(json_array_size(json_object_get(head, "workflows")), 2); /* other, d */
    assert_int_equal(json_array_size(errors), 3);
    assert_string_equal(text(json_array_get(errors, 0), "code"), "call.unknown");
    assert_string_equal(text(json_array_get(errors, 0), "hint"), "did you mean 'other'?");
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_foreach_hands_its_items_over_and_parks),
        cmocka_unit_test(test_the_event_is_asked_for_when_something_inside_reads_it),
        cmocka_unit_test(test_an_empty_list_is_a_success_at_once),
        cmocka_unit_test(test_what_is_no_list_has_its_error),
        cmocka_unit_test(test_the_output_has_the_items_in_order_and_the_keys_of_those_that_failed),
        cmocka_unit_test(test_more_failures_than_tolerated_fail_the_step_with_counts),
        cmocka_unit_test(test_items_that_are_too_large_together_are_left_out),
        cmocka_unit_test(test_an_item_runs_the_steps_inside_alone),
        cmocka_unit_test(test_an_item_goes_on_from_what_is_recorded_of_it),
        cmocka_unit_test(test_a_call_parks_and_takes_over_the_output),
        cmocka_unit_test(test_the_failure_of_a_called_workflow_is_the_failure_of_the_step),
        cmocka_unit_test(test_a_called_workflow_has_its_inputs_with_defaults),
        cmocka_unit_test(test_a_call_says_by_what_its_run_is_admitted),
        cmocka_unit_test(test_a_call_goes_past_collect),
        cmocka_unit_test(test_the_group_of_a_call_is_that_of_an_event_with_this_key),
        cmocka_unit_test(test_what_cannot_be_told_of_a_call_fails_the_step),
        cmocka_unit_test(test_who_calls_what_is_admitted_by_the_event_is_handed_that),
        cmocka_unit_test(test_children_begin_while_the_run_is_still_at_work),
        cmocka_unit_test(test_a_foreach_beside_a_step_that_fails_at_once_starts_nothing),
        cmocka_unit_test(test_a_caller_of_what_is_not_there_is_left_out_and_its_callers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
