/* From an event to its report: what runs, what is skipped, what fails and how that is said. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define INLINE(code) HEAD "steps: [{id: a, lua: \"" code "\"}]\n"

static void test_a_one_step_run_is_one_report(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow",
                     HEAD "steps:\n  - id: greet\n    with: {who: \"${{ event.data.name }}\"}\n    lua: return {text = 'hello ' .. input.who}\n",
                     NULL);
    engine_event(&engine, "{\"name\":\"ann\"}");
    const json_t *run = only_run(&engine, SUCCEEDED), *step = step_at(run, 0);
    assert_int_equal(number(engine.answer.head, "job"), 70);
    assert_int_equal(number(engine.answer.head, "matched"), 1);
    assert_false(json_is_true(json_object_get(engine.answer.head, "ack")));
    assert_string_equal(text(run, "uid"), run_of("w"));
    assert_string_equal(text(run, "workflow"), "w");
    assert_int_equal(strlen(text(run, "version")), 64);
    assert_int_equal(step_count(run), 1);
    assert_string_equal(text(step, "path"), "greet");
    assert_int_equal(number(step, "state"), SUCCEEDED);
    assert_int_equal(number(step, "attempt"), 1);
    assert_string_equal(output(&engine.answer, step), "{\"text\":\"hello ann\"}");
    assert_string_equal(json_string_value(json_array_get(json_object_get(step, "inputs"), 0)), "who");
    assert_true(number(step, "started_ms") > 0 && number(step, "ended_ms") >= number(step, "started_ms"));
    engine_stop(&engine);
}

static void test_an_event_that_nobody_waits_for_is_reported_done(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow", "name: w\non: [{event: other.*}]\nsteps: [{id: a, set: {x: 1}}]\n", "workflow",
                     "name: v\non: [{event: app.ping, if: \"${{ event.data.n == 2 }}\"}, {manual}]\nsteps: [{id: a, set: {x: 1}}]\n", NULL);
    engine_event(&engine, "{\"n\":1}");
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_true(json_is_true(json_object_get(report->head, "done")));
    assert_int_equal(number(report->head, "matched"), 0);
    assert_int_equal(json_array_size(json_object_get(report->head, "runs")), 0);
    engine_stop(&engine);
}

static void test_every_matching_workflow_runs_and_the_last_report_is_done(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow",
                     "name: one\non: [{event: app.ping}]\nsteps: [{id: a, lua: \"ctx.sleep(0.01) return {}\"}]\n---\nname: two\non: [{event: "
                     "\"app.*\"}]\nsteps: [{id: a, set: {x: 1}}]\n",
                     NULL);
    engine_event(&engine, "{}");
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_string_equal(text(run_at(report, 0), "workflow"), "two");
    assert_false(json_is_true(json_object_get(report->head, "done")));
    report = engine_next(&engine, BW_MSG_REPORT);
    assert_string_equal(text(run_at(report, 0), "workflow"), "one");
    assert_true(json_is_true(json_object_get(report->head, "done")));
    assert_int_equal(number(report->head, "matched"), 2);
    engine_stop(&engine);
}

static void test_a_start_by_hand_runs_that_workflow_alone(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(
        &engine, "workflow",
        "name: one\non: [{event: app.ping}]\nsteps: [{id: a, set: {x: 1}}]\n---\nname: two\non: [{manual}]\nsteps: [{id: a, set: {x: 2}}]\n", NULL);
    engine_event_with(&engine, "{}", ",\"workflow\":\"two\"", NULL, 0);
    assert_string_equal(text(only_run(&engine, SUCCEEDED), "workflow"), "two");
    engine_stop(&engine);
}

static void test_steps_see_what_came_before_and_a_false_if_skips(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(
        &engine, "workflow",
        HEAD
        "steps:\n"
        "  - {id: a, set: {n: \"${{ event.data.n + 1 }}\"}}\n"
        "  - {id: b, if: \"${{ steps.a.n > 100 }}\", lua: \"error('must not run')\"}\n"
        "  - {id: c, with: {n: \"${{ steps.a.n }}\"}, lua: \"return {n = input.n * 2, list = {1, 2}, big = 1}\", outputs: {n: \"${{ result.n }}\"}}\n"
        "outputs: {n: \"${{ steps.c.n }}\", none: \"${{ steps.b.x }}\"}\n",
        NULL);
    engine_event(&engine, "{\"n\":1}");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(step_count(run), 3);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"n\":2}");
    assert_int_equal(number(step_at(run, 1), "state"), SKIPPED);
    assert_string_equal(output(&engine.answer, step_at(run, 2)), "{\"n\":4}");
    assert_string_equal(output(&engine.answer, run), "{\"n\":4}");
    engine_stop(&engine);
}

/* code → the error of step and run. Steps behind the failed one do not run. */
static const struct {
    const char *workflow, *code, *class;
} failures[] = {
    {INLINE("error('broken')"), "lua.error", "bug"},
    {INLINE("ctx.fail{code = 'crm.unknown', message = 'no such contact'}"), "lua.error", "bug"}, /* a value that nobody returned */
    {INLINE("return ctx.fail{code = 'crm.unknown', message = 'no such contact'}"), "crm.unknown", "permanent"},
    {INLINE("error(ctx.fail('no'))"), "failed", "permanent"},
    {INLINE("local s = ('x'):rep(1000000) return {a = s, b = s}"), "output.too_large", "output"},
    {INLINE("local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end"), "lua.memory", "bug"},
    {HEAD "steps: [{id: a, timeout: 100ms, lua: \"while true do end\"}]\n", "lua.timeout", "bug"},
    {HEAD "steps: [{id: a, if: \"${{ event.data.name }}\", set: {x: 1}}]\n", "expr.not_boolean", "bug"},
    {HEAD "steps: [{id: a, set: {x: \"${{ event.data.a.b.c.d + 1 }}\"}}]\n", "expr.error", "bug"},
    {HEAD "steps: [{id: a, with: {x: \"${{ event.data.none + 1 }}\"}, lua: return input}]\n", "expr.error", "bug"},
    {HEAD "steps: [{id: a, lua: \"return {}\", outputs: {x: \"${{ result.none + 1 }}\"}}]\n", "expr.error", "output"},
};

static void test_a_failing_step_fails_the_run_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        struct engine engine;
        struct bw_buf workflow = {0};
        engine_start(&engine);
        bw_buf_append_text(&workflow, failures[i].workflow);
        engine_load_good(&engine, "workflow", workflow.data, NULL);
        engine_event(&engine, "{\"name\":\"ann\"}");
        const json_t *run = json_incref((json_t *)run_at(engine_next(&engine, BW_MSG_REPORT), 0)), *error = json_object_get(run, "error");
        if (number(run, "state") != FAILED || strcmp(code_of(run), failures[i].code) || strcmp(text(error, "class"), failures[i].class)) {
            fail_msg("%s: state %d, %s (%s) %s; expected %s (%s)", failures[i].workflow, (int)number(run, "state"), code_of(run),
                     text(error, "class"), text(error, "message"), failures[i].code, failures[i].class);
        }
        assert_string_equal(text(error, "step"), "a");
        assert_int_equal(number(step_at(run, 0), "state"), FAILED);
        assert_string_equal(code_of(step_at(run, 0)), failures[i].code);
        json_decref((json_t *)run);
        bw_buf_free(&workflow);
        engine_stop(&engine);
    }
}

static void test_nothing_runs_behind_a_failed_step(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow", HEAD "steps: [{id: a, set: {x: 1}}, {id: b, lua: \"error('x')\"}, {id: c, set: {x: 1}}]\noutputs: {x: 1}\n",
                     NULL);
    engine_event(&engine, "{}");
    const json_t *run = only_run(&engine, FAILED);
    assert_int_equal(step_count(run), 2);
    assert_string_equal(output(&engine.answer, run), "");
    engine_stop(&engine);
}

/* semantics.md 2.5: a trigger's `if` that fails makes a failed run, never a silent non-match. */
static void test_a_trigger_that_fails_is_a_failed_run(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow", "name: w\non: [{event: app.ping, if: \"${{ event.data.n > 1 }}\"}]\nsteps: [{id: a, set: {x: 1}}]\n", NULL);
    engine_event(&engine, "{\"n\":\"text\"}");
    const json_t *run = only_run(&engine, FAILED);
    assert_int_equal(step_count(run), 0);
    assert_string_equal(text(json_object_get(run, "error"), "step"), "on");
    assert_int_equal(number(json_object_get(run, "error"), "line"), 2);
    engine_stop(&engine);
}

static void test_a_body_that_is_no_json_is_no_data(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow",
                     HEAD "steps: [{id: a, set: {kind: \"${{ type(event.data) }}\", header: \"${{ event.headers['x-kind'] }}\"}}]\n", NULL);
    engine_event(&engine, "name=ann&n=1");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"kind\":\"string\",\"header\":\"ping\"}");
    engine_stop(&engine);
}

/* The deepest legal workflow must not exhaust the worker's stack. */
static void test_five_hundred_steps_in_a_row(void **state)
{
    (void)state;
    struct engine engine;
    struct bw_buf workflow = {0};
    bw_buf_append_text(&workflow, HEAD "steps:\n");
    for (int i = 0; i < 500; i++)
        bw_buf_printf(&workflow, i % 2 ? "  - {id: s%d, set: {n: %d}}\n" : "  - {id: s%d, lua: \"return {n = %d}\"}\n", i, i);
    engine_start(&engine);
    engine_load_good(&engine, "workflow", workflow.data, NULL);
    engine_send(&engine, BW_MSG_EVENT, NULL, 0,
                "{\"event\":7,\"uid\":\"evt_00000000000000000000000000\",\"revision\":1,\"name\":\"app.ping\",\"source\":\"app\",\"at_ms\":1}");
    bw_buf_free(&workflow);
    /* 500 parts do not fit a test's struct answer: look at the frame itself. */
    static struct bw_frame frame;
    struct bw_error err;
    engine.in.len -= engine.taken;
    engine.taken = 0;
    while (!engine.in.len || bw_frame_decode(bw_buf_slice(&engine.in), BW_FRAME_BYTES_MAX, &frame, &err) <= 0)
        assert_true(engine_fill(&engine, PATIENCE_MS));
    assert_int_equal(frame.type, BW_MSG_REPORT);
    assert_int_equal(frame.part_count, 500);
    assert_true(bw_slice_is(frame.parts[499], "{\"n\":499}"));
    engine_stop(&engine);
}

static void test_what_a_run_keeps_in_all_is_limited(void **state)
{
    (void)state;
    struct engine engine;
    struct bw_buf workflow = {0};
    bw_buf_append_text(&workflow, HEAD "steps:\n");
    for (int i = 0; i < 20; i++) bw_buf_printf(&workflow, "  - {id: s%d, lua: \"return {x = ('x'):rep(1000000)}\"}\n", i);
    engine_start(&engine);
    engine_load_good(&engine, "workflow", workflow.data, NULL);
    bw_buf_free(&workflow);
    engine_event(&engine, "{}");
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "output.too_large");
    assert_string_equal(text(json_object_get(run, "error"), "step"), "s16"); /* 16 MiB hold sixteen of them */
    engine_stop(&engine);
}

static void test_the_outputs_of_a_workflow_are_limited(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow",
                     HEAD "steps: [{id: a, lua: \"return {x = ('x'):rep(700000)}\"}]\noutputs: {a: \"${{ steps.a.x }}\", b: \"${{ steps.a.x }}\"}\n",
                     NULL);
    engine_event(&engine, "{}");
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "output.too_large");
    assert_int_equal(number(step_at(run, 0), "state"), SUCCEEDED);
    engine_stop(&engine);
}

static void test_an_input_above_the_limit_is_an_error_of_the_step(void **state)
{
    (void)state;
    struct engine engine;
    struct bw_buf workflow = {0};
    bw_buf_append_text(&workflow, HEAD "steps:\n  - {id: a, lua: \"return {x = ('x'):rep(1000000)}\"}\n  - id: b\n    lua: return {}\n    with:\n");
    for (int i = 0; i < 20; i++) bw_buf_printf(&workflow, "      k%d: \"${{ steps.a.x }}\"\n", i);
    engine_start(&engine);
    engine_load_good(&engine, "workflow", workflow.data, NULL);
    bw_buf_free(&workflow);
    engine_event(&engine, "{}");
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(text(json_object_get(run, "error"), "step"), "b");
    engine_stop(&engine);
}

static void test_a_log_line_with_a_nul_reaches_the_engine(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow", INLINE("ctx.log('a line') return {}"), NULL);
    engine_event(&engine, "{}");
    only_run(&engine, SUCCEEDED);
    assert_int_equal(engine.logs, 1);
    assert_string_equal(text(engine.last_log, "message"), "a line");
    assert_string_equal(text(engine.last_log, "workflow"), "w");
    assert_string_equal(text(engine.last_log, "step"), "a");
    assert_string_equal(text(engine.last_log, "run"), run_of("w"));
    engine_stop(&engine);
}

/* semantics.md 2.3: what an effect depends on is on disk before the effect happens. */
static void test_an_effect_waits_until_the_effect_before_it_is_on_disk(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow", HEAD "steps: [{id: a, lua: \"ctx.log('a') return {n = 1}\"}, {id: b, lua: \"ctx.log('b') return {}\"}]\n",
                     NULL);
    engine_event(&engine, "{}");
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_true(json_is_true(json_object_get(report->head, "ack")));
    assert_false(json_is_true(json_object_get(report->head, "done")));
    assert_int_equal(number(run_at(report, 0), "state"), ACTIVE);
    assert_int_equal(step_count(run_at(report, 0)), 1);
    assert_string_equal(text(engine.last_log, "message"), "a"); /* b has not begun */
    engine_commit(&engine, json_integer_value(json_object_get(report->head, "report")));
    assert_int_equal(step_count(only_run(&engine, SUCCEEDED)), 1); /* only what is new */
    assert_string_equal(text(engine.last_log, "message"), "b");
    engine_stop(&engine);
}

/* With the commit of the event, n effects in line are n + 1 commits, and none is waited for behind the last of them. What has no effect costs none.
 */
static void test_effects_in_line_are_a_report_each(void **state)
{
    (void)state;
    enum { EFFECTS = 7 };
    struct bw_buf workflow = {0};
    struct engine engine;
    int waited = 0;
    bw_buf_append_text(&workflow, HEAD "steps:\n");
    for (int i = 0; i < EFFECTS; i++)
        bw_buf_printf(&workflow, "  - {id: e%d, lua: \"ctx.log('e') return {n = 1}\"}\n  - {id: s%d, set: {n: \"${{ steps.e%d.n }}\"}}\n", i, i, i);
    engine_start(&engine);
    engine_load_good(&engine, "workflow", workflow.data, NULL);
    engine_event(&engine, "{}");
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    for (; !json_is_true(json_object_get(report->head, "done")); report = engine_next(&engine, BW_MSG_REPORT)) {
        assert_true(json_is_true(json_object_get(report->head, "ack")));
        waited++;
        engine_commit(&engine, json_integer_value(json_object_get(report->head, "report")));
    }
    assert_int_equal(waited, EFFECTS - 1);
    assert_int_equal(number(run_at(report, 0), "state"), SUCCEEDED);
    bw_buf_free(&workflow);
    engine_stop(&engine);
}

/* A step that is tried again reports on the way, and nobody waits for that report: the next effect has to. */
static void test_a_report_on_the_way_does_not_stand_for_a_commit(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(
        &engine, "action",
        "return action{name = 'my/calm', version = '1.0.0', effect = 'none', run = function(ctx, input)\n"
        "  if ctx.attempt == 1 then return ctx.retry{code = 'later', after = 1} end\n  return {}\nend}\n",
        "workflow",
        HEAD "steps: [{id: a, lua: \"ctx.log('a') return {n = 1}\"}, {id: b, uses: my/calm@1}, {id: c, lua: \"ctx.log('c') return {}\"}]\n", NULL);
    engine_event(&engine, "{}");
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_false(json_is_true(json_object_get(report->head, "ack")));
    assert_int_equal(step_count(run_at(report, 0)), 2); /* a, and b that waits for its second attempt */
    report = engine_next(&engine, BW_MSG_REPORT);
    assert_true(json_is_true(json_object_get(report->head, "ack")));
    assert_string_equal(text(engine.last_log, "message"), "a"); /* c has not begun */
    engine_commit(&engine, json_integer_value(json_object_get(report->head, "report")));
    only_run(&engine, SUCCEEDED);
    assert_string_equal(text(engine.last_log, "message"), "c");
    engine_stop(&engine);
}

/* After a crash: what is recorded is not run again, its output is what it was, and attempts are counted on. */
static void test_a_recovered_run_goes_on_behind_what_is_recorded(void **state)
{
    (void)state;
    struct engine engine;
    char more[500];
    const struct bw_slice recorded = BW_SLICE("{\"n\":41}");
    engine_start(&engine);
    engine_load_good(
        &engine, "workflow",
        HEAD
        "steps: [{id: a, lua: \"error('must not run again')\"}, {id: b, with: {n: \"${{ steps.a.n + 1 }}\"}, lua: \"return {n = input.n, attempt = "
        "ctx.attempt}\"}]\n",
        NULL);
    snprintf(more, sizeof more,
             ",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"lost\":0,\"steps\":[{\"path\":\"a\",\"state\":20,\"attempt\":1,\"output_part\":2},{\"path\":"
             "\"b\",\"state\":2,"
             "\"attempt\":3}]}]",
             run_of("w"));
    engine_event_with(&engine, "{}", more, &recorded, 1);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(step_count(run), 1);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"attempt\":4,\"n\":42}");
    engine_stop(&engine);
}

static void test_a_run_that_is_recorded_as_ended_is_not_run_again(void **state)
{
    (void)state;
    struct engine engine;
    char more[200];
    engine_start(&engine);
    engine_load_good(&engine, "workflow", INLINE("error('must not run again')"), NULL);
    snprintf(more, sizeof more, ",\"runs\":[{\"uid\":\"%s\",\"state\":20,\"lost\":0,\"steps\":[]}]", run_of("w"));
    engine_event_with(&engine, "{}", more, NULL, 0);
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_true(json_is_true(json_object_get(report->head, "done")));
    assert_int_equal(json_array_size(json_object_get(report->head, "runs")), 0);
    engine_stop(&engine);
}

static void test_a_step_that_took_its_worker_with_it_too_often_ends_as_worker_lost(void **state)
{
    (void)state;
    struct engine engine;
    char more[300];
    engine_start(&engine);
    engine_load_good(&engine, "workflow", INLINE("return {}"), NULL);
    for (int count = 5; count <= 6; count++) {
        snprintf(more, sizeof more, ",\"lost\":[{\"run\":\"%s\",\"path\":\"a\",\"count\":%d}]", run_of("w"), count);
        engine_event_with(&engine, "{}", more, NULL, 0);
        const json_t *run = only_run(&engine, count == 5 ? SUCCEEDED : FAILED);
        assert_string_equal(code_of(run), count == 5 ? "" : "worker_lost");
        assert_int_equal(number(run, "lost"), count);
    }
    engine_stop(&engine);
}

/* ---- what a step does when it fails ---- */

#define FAST "retry: {attempts: 3, delay: 0s}"

static void test_attempts_are_counted_and_their_number_is_the_steps(void **state)
{
    (void)state;
    static const struct {
        const char *steps;
        int state, attempt;
    } cases[] = {
        {"{id: a, " FAST ", lua: \"if ctx.attempt < 3 then return ctx.retry('no') end return {}\"}", SUCCEEDED, 3},
        {"{id: a, " FAST ", lua: \"return ctx.retry('no')\"}", FAILED, 3},
        {"{id: a, " FAST ", lua: \"return ctx.fail('no')\"}", FAILED, 1}, /* will not pass */
        {"{id: a, retry: {attempts: 3, delay: 0s, on: any}, lua: \"if ctx.attempt < 3 then error('bug') end return {}\"}", SUCCEEDED, 3},
        {"{id: a, retry: {attempts: 3, delay: 0s, on: [busy]}, lua: \"if ctx.attempt < 2 then return ctx.fail{code = 'busy'} end return "
         "ctx.retry('no')\"}",
         FAILED, 2},
        {"{id: a, retry: {attempts: 3, delay: 0s, on: any}, with: {x: \"${{ event.data.none + 1 }}\"}, lua: \"return {}\"}", FAILED,
         0}, /* nothing was attempted */
        {"{id: a, retry: {attempts: 1}, lua: \"return ctx.retry('no')\"}", FAILED, 1},
        {"{id: a, retry: {delay: 1h}, max_elapsed: 10m, lua: \"return ctx.retry('no')\"}", FAILED, 1}, /* the second would be too late */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        struct bw_buf workflow = {0};
        bw_buf_printf(&workflow, HEAD "steps: [%s]\n", cases[i].steps);
        engine_start(&engine);
        engine_load_good(&engine, "workflow", workflow.data, NULL);
        engine_event(&engine, "{}");
        const json_t *run = only_run(&engine, cases[i].state);
        if (number(step_at(run, 0), "attempt") != cases[i].attempt)
            fail_msg("%s: %d attempts", cases[i].steps, (int)number(step_at(run, 0), "attempt"));
        bw_buf_free(&workflow);
        engine_stop(&engine);
    }
}

static void test_step_defaults_and_action_say_in_this_order_how_often(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(
        &engine, "action",
        "return action{name = 'my/busy', version = '1.0.0', effect = 'none', retry = {attempts = 2, delay = '0s'}, run = function(ctx, input) return "
        "ctx.retry('no') end}\n",
        "workflow", "name: plain\non: [{event: app.ping}]\nsteps: [{id: a, uses: my/busy@1}]\n", "workflow",
        "name: says\non: [{event: app.ping}]\ndefaults: {retry: {attempts: 4}}\nsteps: [{id: a, uses: my/busy@1}]\n", "workflow",
        "name: step\non: [{event: app.ping}]\ndefaults: {retry: {attempts: 4}}\nsteps: [{id: a, uses: my/busy@1, retry: {attempts: 3}}]\n", NULL);
    engine_event(&engine, "{}");
    for (int i = 0; i < 3; i++) {
        const json_t *run = run_at(engine_next(&engine, BW_MSG_REPORT), 0);
        const char *name = text(run, "workflow");
        assert_int_equal(number(step_at(run, 0), "attempt"), !strcmp(name, "plain") ? 2 : !strcmp(name, "says") ? 4 : 3);
    }
    engine_stop(&engine);
}

static void test_a_run_goes_on_behind_a_step_that_may_fail(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(
        &engine, "workflow",
        HEAD "steps:\n  - {id: a, on_error: continue, lua: \"error('broken')\"}\n"
             "  - {id: b, set: {ok: \"${{ ok('a') }}\", status: \"${{ status('a') }}\", code: \"${{ err('a').code }}\", x: \"${{ steps.a.x }}\"}}\n",
        NULL);
    engine_event(&engine, "{}");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_int_equal(number(step_at(run, 0), "state"), FAILED);
    assert_string_equal(code_of(step_at(run, 0)), "lua.error");
    assert_string_equal(output(&engine.answer, step_at(run, 1)), "{\"ok\":false,\"status\":\"failed\",\"code\":\"lua.error\"}");
    engine_stop(&engine);
}

static void test_a_failure_that_was_gone_past_is_not_run_again_after_a_crash(void **state)
{
    (void)state;
    struct engine engine;
    char more[400];
    engine_start(&engine);
    engine_load_good(
        &engine, "workflow",
        HEAD "steps: [{id: a, on_error: continue, lua: \"ctx.log('again') return {}\"}, {id: b, set: {code: \"${{ err('a').code }}\"}}]\n", NULL);
    snprintf(more, sizeof more,
             ",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"lost\":0,\"steps\":[{\"path\":\"a\",\"state\":21,\"attempt\":6,\"error\":{\"code\":\"http."
             "network\",\"message\":\"m\"}}]}]",
             run_of("w"));
    engine_event_with(&engine, "{}", more, NULL, 0);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"code\":\"http.network\"}");
    assert_int_equal(engine.logs, 0);
    engine_stop(&engine);
}

static void test_stop_ends_the_run_as_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *stop;
        int state;
        const char *code, *message;
    } cases[] = {{"{}", SUCCEEDED, "", ""},
                 {"{as: succeeded}", SUCCEEDED, "", ""},
                 {"{as: skipped, message: not ours}", SKIPPED, "", ""},
                 {"{as: failed, message: \"no ${{ event.data.name }}\"}", FAILED, "stopped", "no ann"},
                 {"{as: failed}", FAILED, "stopped", "the run was stopped by its workflow"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        struct bw_buf workflow = {0};
        bw_buf_printf(&workflow,
                      HEAD "steps: [{id: a, set: {x: 1}}, {id: no, if: false, stop: {as: failed}}, {id: b, stop: %s}, {id: c, lua: \"error('behind "
                           "it')\"}]\noutputs: {x: \"${{ "
                           "steps.a.x }}\"}\n",
                      cases[i].stop);
        engine_start(&engine);
        engine_load_good(&engine, "workflow", workflow.data, NULL);
        engine_event(&engine, "{\"name\":\"ann\"}");
        const json_t *run = only_run(&engine, cases[i].state);
        assert_int_equal(step_count(run), 3);
        assert_string_equal(code_of(run), cases[i].code);
        assert_string_equal(text(json_object_get(run, "error"), "message"), cases[i].message);
        assert_string_equal(output(&engine.answer, run), cases[i].state == SUCCEEDED ? "{\"x\":1}" : "");
        bw_buf_free(&workflow);
        engine_stop(&engine);
    }
}

/* One run that never gives way by itself must not keep another from its end. */
static void test_a_busy_run_does_not_starve_another_event(void **state)
{
    (void)state;
    struct engine engine;
    engine_start(&engine);
    engine_load_good(&engine, "workflow",
                     "name: busy\non: [{event: app.ping}]\nsteps: [{id: a, timeout: 1h, lua: \"while true do end\"}]\n---\nname: quick\non: "
                     "[{manual}]\nsteps: [{id: a, set: {x: 1}}]\n",
                     NULL);
    engine_event(&engine, "{}");
    engine_event_with(&engine, "{}", ",\"workflow\":\"quick\"", NULL, 0);
    assert_string_equal(text(only_run(&engine, SUCCEEDED), "workflow"), "quick");
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_one_step_run_is_one_report),
        cmocka_unit_test(test_an_event_that_nobody_waits_for_is_reported_done),
        cmocka_unit_test(test_every_matching_workflow_runs_and_the_last_report_is_done),
        cmocka_unit_test(test_a_start_by_hand_runs_that_workflow_alone),
        cmocka_unit_test(test_steps_see_what_came_before_and_a_false_if_skips),
        cmocka_unit_test(test_a_failing_step_fails_the_run_with_the_reason),
        cmocka_unit_test(test_nothing_runs_behind_a_failed_step),
        cmocka_unit_test(test_a_trigger_that_fails_is_a_failed_run),
        cmocka_unit_test(test_a_body_that_is_no_json_is_no_data),
        cmocka_unit_test(test_five_hundred_steps_in_a_row),
        cmocka_unit_test(test_what_a_run_keeps_in_all_is_limited),
        cmocka_unit_test(test_the_outputs_of_a_workflow_are_limited),
        cmocka_unit_test(test_an_input_above_the_limit_is_an_error_of_the_step),
        cmocka_unit_test(test_an_effect_waits_until_the_effect_before_it_is_on_disk),
        cmocka_unit_test(test_effects_in_line_are_a_report_each),
        cmocka_unit_test(test_a_report_on_the_way_does_not_stand_for_a_commit),
        cmocka_unit_test(test_a_recovered_run_goes_on_behind_what_is_recorded),
        cmocka_unit_test(test_a_run_that_is_recorded_as_ended_is_not_run_again),
        cmocka_unit_test(test_a_step_that_took_its_worker_with_it_too_often_ends_as_worker_lost),
        cmocka_unit_test(test_attempts_are_counted_and_their_number_is_the_steps),
        cmocka_unit_test(test_step_defaults_and_action_say_in_this_order_how_often),
        cmocka_unit_test(test_a_run_goes_on_behind_a_step_that_may_fail),
        cmocka_unit_test(test_a_failure_that_was_gone_past_is_not_run_again_after_a_crash),
        cmocka_unit_test(test_stop_ends_the_run_as_it_says),
        cmocka_unit_test(test_a_log_line_with_a_nul_reaches_the_engine),
        cmocka_unit_test(test_a_busy_run_does_not_starve_another_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
