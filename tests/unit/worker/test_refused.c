/* A revision that an earlier version of Bellwire took and this one does not: its runs end and say why, and no worker does. */
#include "fake_engine.h"

#define GOOD "name: good\non: [{event: app.ping}]\nsteps: [{id: a, set: {x: 1}}]\n"
#define BAD "name: bad\non: [{event: app.ping}]\nsteps:\n  - {id: nap, sleep: 5m}\n  - {id: b, sets: {x: 1}}\n"

/* One run, of the workflow, that has waited in its step `nap`. more: further fields of it, each preceded by a comma, or "". */
static void resume(struct engine *engine, const char *workflow, const char *more)
{
    char head[2000];
    snprintf(head, sizeof head,
             ",\"resume\":\"%s\",\"runs\":[{\"uid\":\"%s\",\"workflow\":\"%s\",\"state\":2,\"woken\":true,\"lost\":1,\"started_ms\":4711,"
             "\"steps\":[{\"path\":\"nap\",\"state\":3,\"attempt\":1,\"started_ms\":5,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":7}}]%s}]",
             workflow, run_of(workflow), workflow, more);
    engine_event_with(engine, "{}", head, NULL, 0);
}

static void has(const json_t *run, const char *key, const char *part)
{
    const char *all = text(json_object_get(run, "error"), key);
    if (!strstr(all, part)) fail_msg("'%s' is not in: %s", part, all);
}

/* Nothing died, and others are served. */
static void still_serves(struct engine *engine)
{
    engine_event_with(engine, "{}", ",\"workflow\":\"good\"", NULL, 0);
    assert_string_equal(text(only_run(engine, SUCCEEDED), "workflow"), "good");
    engine_stop(engine);
}

static void test_a_parked_run_of_a_refused_workflow_fails_with_the_place_and_a_cure(void **state)
{
    (void)state;
    struct engine engine;
    char cure[120];
    engine_start(&engine);
    const json_t *head = engine_load(&engine, "workflow", GOOD, "workflow", BAD, NULL), *refused = json_object_get(head, "refused");
    assert_int_equal(json_array_size(refused), 1);
    assert_string_equal(text(json_array_get(refused, 0), "workflow"), "bad");
    resume(&engine, "bad", "");
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(text(run, "uid"), run_of("bad"));
    assert_string_equal(text(run, "workflow"), "bad");
    assert_int_equal(number(run, "started_ms"), 4711);
    assert_int_equal(number(run, "lost"), 1);
    assert_int_equal(strlen(text(run, "version")), 64);
    assert_string_equal(code_of(run), "revision.refused");
    has(run, "message", "f1:5:13: ");
    has(run, "message", "did you mean 'set'?");
    has(run, "message", "`finally`");
    snprintf(cure, sizeof cure, "bellwire runs resume %s --latest", run_of("bad"));
    has(run, "hint", cure);
    still_serves(&engine);
}

/* code → what the error has to tell. */
static const struct {
    const char *kind, *text, *says;
} refusals[] = {
    {"workflow", "name: bad\non: [{event: app.ping}]\nsteps: [{id: a, uses: crm/find@1}]\n", "f1:3:9: there is no action crm/find@1"},
    {"workflow", "name: bad\non: [{event: app.ping}]\nsteps: [{id: a, lua: \"return (\"}]\n", "[lua.syntax]"},
    {"workflow", "name: bad\non: [{event: app.ping}]\nsteps: [{id: a, uses: workflow/none}]\n",
     "there is no workflow none that loads without errors"},
    {"workflow", "name: bad\n on: {\n", "f1:2:"}, /* no YAML: it may be any name */
};

static void test_whatever_refuses_it_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct engine engine;
        engine_start(&engine);
        engine_load(&engine, "workflow", GOOD, refusals[i].kind, refusals[i].text, NULL);
        resume(&engine, "bad", "");
        const json_t *run = only_run(&engine, FAILED);
        assert_string_equal(code_of(run), "revision.refused");
        has(run, "message", refusals[i].says);
        still_serves(&engine);
    }
}

/* What is wrong stands in the file of the action. */
static void test_the_file_of_a_missing_action_is_named(void **state)
{
    (void)state;
    struct engine engine;
    const struct bw_slice parts[] = {BW_SLICE(GOOD "---\nname: bad\non: [{event: app.ping}]\nsteps: [{id: a, uses: crm/find@1}]\n"),
                                     BW_SLICE("return action {\n")};
    engine_start(&engine);
    engine_send(&engine, BW_MSG_CATALOG, parts, 2,
                "{\"revision\":1,\"files\":[{\"kind\":\"workflow\",\"path\":\"w.yaml\",\"part\":0},{\"kind\":\"action\",\"path\":"
                "\"actions/crm/find.lua\",\"part\":1}]}");
    engine_next(&engine, BW_MSG_CATALOG_LOADED);
    resume(&engine, "bad", "");
    const json_t *run = only_run(&engine, FAILED);
    has(run, "message", "its file is refused: actions/crm/find.lua");
    still_serves(&engine);
}

/* The engine has left it out, as loading it had ended a worker. */
static void test_a_file_that_cannot_be_loaded_at_all_is_named(void **state)
{
    (void)state;
    struct engine engine;
    const struct bw_slice parts[] = {BW_SLICE(GOOD)};
    engine_start(&engine);
    engine_send(&engine, BW_MSG_CATALOG, parts, 1,
                "{\"revision\":1,\"files\":[{\"kind\":\"workflow\",\"path\":\"w.yaml\",\"part\":0}],\"refused\":[{\"kind\":\"workflow\",\"file\":"
                "\"heavy.yaml\",\"code\":\"worker_lost\",\"message\":\"loading this file ended the worker process\"}]}");
    engine_next(&engine, BW_MSG_CATALOG_LOADED);
    resume(&engine, "bad", "");
    has(only_run(&engine, FAILED), "message", "heavy.yaml: loading this file ended the worker process");
    still_serves(&engine);
}

/* A step of another run has started it: it goes on with that one. */
static void test_a_child_names_the_run_to_be_resumed(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load(&engine, "workflow", GOOD, "workflow", BAD, NULL);
    resume(&engine, "bad", ",\"child\":{\"path\":\"fan\",\"parent\":\"run_parent\",\"item\":0,\"depth\":1,\"call\":false,\"input_part\":0}");
    has(only_run(&engine, FAILED), "hint", "bellwire runs resume run_parent --latest");
    still_serves(&engine);
}

static void test_one_that_was_cancelled_ends_as_cancelled(void **state)
{
    (void)state;
    static const char *const ways[] = {",\"cancelled\":{\"reason\":\"wrong customer\",\"by\":\"ann\"}", ""};
    for (size_t i = 0; i < 2; i++) {
        struct engine engine;
        char head[1200];
        engine_start(&engine);
        engine_load(&engine, "workflow", GOOD, "workflow", BAD, NULL);
        snprintf(head, sizeof head,
                 ",\"resume\":\"bad\",\"runs\":[{\"uid\":\"%s\",\"workflow\":\"bad\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":1,"
                 "\"steps\":[%s]%s}]",
                 run_of("bad"),
                 i ? "{\"path\":\"~main\",\"state\":22,\"attempt\":0,\"started_ms\":5,\"error\":{\"code\":\"run.cancelled\",\"message\":\"wrong "
                     "customer\"}}"
                   : "",
                 ways[i]);
        engine_event_with(&engine, "{}", head, NULL, 0);
        const json_t *run = only_run(&engine, CANCELLED);
        assert_string_equal(code_of(run), "run.cancelled");
        has(run, "message", "wrong customer");
        has(run, "message", "no `undo` or `finally` is run");
        has(run, "message", "f1:5:13: ");
        still_serves(&engine);
    }
}

/* The others see it; that one is no part of it, as if it had been broken when the event came. */
static void test_an_event_runs_those_that_load(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load(&engine, "workflow", GOOD, "workflow", BAD, NULL);
    engine_event(&engine, "{}");
    assert_string_equal(text(only_run(&engine, SUCCEEDED), "workflow"), "good");
    assert_int_equal(number(engine.answer.head, "matched"), 1);
    still_serves(&engine);
}

/* Nobody else takes up what had begun before a crash. */
static void test_a_run_that_had_begun_ends_with_its_event(void **state)
{
    (void)state;
    struct engine engine;
    char head[1200], worse[BW_UID_TEXT];
    engine_start(&engine);
    engine_load(&engine, "workflow", GOOD, "workflow", BAD, NULL);
    snprintf(worse, sizeof worse, "%s", run_of("worse"));
    snprintf(head, sizeof head,
             ",\"runs\":[{\"uid\":\"%s\",\"workflow\":\"bad\",\"state\":2,\"woken\":false,\"lost\":0,\"started_ms\":1,\"steps\":[]},"
             "{\"uid\":\"run_x\",\"workflow\":\"bad\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":1,\"steps\":[]},"
             "{\"uid\":\"%s\",\"workflow\":\"worse\",\"state\":3,\"woken\":false,\"lost\":0,\"started_ms\":1,\"steps\":[]}]",
             run_of("bad"), worse);
    engine_event_with(&engine, "{}", head, NULL, 0);
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_false(json_is_true(json_object_get(report->head, "done")));
    assert_int_equal(number(run_at(report, 0), "state"), FAILED);
    assert_string_equal(text(run_at(report, 0), "uid"), run_of("bad"));
    assert_string_equal(code_of(run_at(report, 0)), "revision.refused");
    assert_string_equal(text(only_run(&engine, SUCCEEDED), "workflow"), "good");
    assert_int_equal(number(engine.answer.head, "matched"), 3); /* with the one of the event that is parked */
    still_serves(&engine);
}

/* By hand, a schedule, a tool: whoever named it wants to hear of it. */
static void test_an_event_that_names_it_gives_a_run_that_failed(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load(&engine, "workflow", GOOD, "workflow", BAD, NULL);
    engine_event_with(&engine, "{}", ",\"workflow\":\"bad\"", NULL, 0);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(text(run, "uid"), run_of("bad"));
    assert_string_equal(code_of(run), "revision.refused");
    assert_int_equal(number(engine.answer.head, "matched"), 1);
    still_serves(&engine);
}

/* `bellwire run`, whose worker ended while it loaded the file anew. */
static void test_who_follows_the_run_hears_of_its_end(void **state)
{
    (void)state;
    struct engine engine;
    engine_start_with(&engine, ",\"trace\":true");
    engine_load(&engine, "workflow", GOOD, "workflow", BAD, NULL);
    resume(&engine, "bad", "");
    const struct answer *trace = engine_next(&engine, BW_MSG_TRACE);
    assert_string_equal(text(trace->head, "what"), "run_finished");
    assert_string_equal(text(trace->head, "run"), run_of("bad"));
    assert_int_equal(number(trace->head, "state"), FAILED);
    assert_string_equal(code_of(trace->head), "revision.refused");
    only_run(&engine, FAILED);
    engine_stop(&engine);
}

/* More errors than a list holds: a workflow whose own did not fit any more was taken for a good one. */
static void test_errors_of_others_do_not_make_a_workflow_good(void **state)
{
    (void)state;
    struct engine engine;
    struct bw_buf yaml = {0};
    engine_start(&engine);
    for (int i = 0; i < 210; i++) bw_buf_printf(&yaml, "name: x%d\non: [{event: app.ping}]\nsteps: [{id: a, uses: none/none@1}]\n---\n", i);
    bw_buf_append_text(&yaml, GOOD);
    const json_t *head = engine_load(&engine, "workflow", yaml.data, NULL);
    assert_int_equal(json_array_size(json_object_get(head, "workflows")), 1);
    assert_int_equal(json_array_size(json_object_get(head, "refused")), 210);
    bw_buf_free(&yaml);
    still_serves(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_parked_run_of_a_refused_workflow_fails_with_the_place_and_a_cure),
        cmocka_unit_test(test_whatever_refuses_it_is_told),
        cmocka_unit_test(test_the_file_of_a_missing_action_is_named),
        cmocka_unit_test(test_a_file_that_cannot_be_loaded_at_all_is_named),
        cmocka_unit_test(test_a_child_names_the_run_to_be_resumed),
        cmocka_unit_test(test_one_that_was_cancelled_ends_as_cancelled),
        cmocka_unit_test(test_an_event_runs_those_that_load),
        cmocka_unit_test(test_a_run_that_had_begun_ends_with_its_event),
        cmocka_unit_test(test_an_event_that_names_it_gives_a_run_that_failed),
        cmocka_unit_test(test_who_follows_the_run_hears_of_its_end),
        cmocka_unit_test(test_errors_of_others_do_not_make_a_workflow_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
