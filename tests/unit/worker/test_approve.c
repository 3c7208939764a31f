/* Steps that wait for a person: what is reported, what the link says, what comes of a vote and of time. */
#include "fake_engine.h"
#include "wire/approval_token.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define PLUGIN "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\"}]}"
#define KEY "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define URL "https://hooks.example"
#define WAITING 3

static int64_t before_ms;

static void begin(struct engine *engine, const char *workflow)
{
    engine_start_with(engine, ",\"approval_key\":\"" KEY "\",\"public_url\":\"" URL "\"");
    engine_load_good(engine, "plugin", PLUGIN, "workflow", workflow, NULL);
    before_ms = bw_clock_wall_ms();
    engine_event(engine, "{\"page\":\"p-1\"}");
}

static void resume(struct engine *engine, const char *steps)
{
    char *more = NULL;
    assert_true(asprintf(&more,
                         ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"steps\":[%s]}]",
                         run_of("w"), (long long)bw_clock_wall_ms() - 60000, steps) > 0);
    engine_event_with(engine, "{\"page\":\"p-1\"}", more, NULL, 0);
    free(more);
}

#define ASKED "{\"path\":\"r\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":9000000000000"
#define REVIEW                                                                                                                                \
    HEAD "steps: [{id: r, approve: {message: \"Publish ${{ event.data.page }}?\", choices: [publish, discard], form: {days: {type: integer, " \
         "default: 7}, note: {type: string}}, timeout: 2d%s}}]\noutputs: {r: \"${{ steps.r }}\"}\n"

static const char *review(const char *more)
{
    static char text[1000];
    snprintf(text, sizeof text, REVIEW, more);
    return text;
}

static void test_it_parks_with_its_question(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, review(""));
    const json_t *run = only_run(&engine, PARKED), *step = step_at(run, 0);
    assert_int_equal(step_count(run), 1);
    assert_int_equal(number(step, "state"), WAITING);
    assert_true(number(step, "due_ms") >= before_ms + 2 * 86400000LL);
    assert_string_equal(output(&engine.answer, step),
                        "{\"message\":\"Publish p-1?\",\"choices\":[\"publish\",\"discard\"],\"form\":{\"days\":{\"type\":"
                        "\"integer\",\"default\":7},\"note\":{\"type\":\"string\"}}}");
    resume(&engine, ASKED ",\"wake\":{\"kind\":3,\"arm\":0,\"at_ms\":5,\"choice\":\"publish\",\"by\":\"ann\",\"form\":{\"days\":9}}}");
    run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"r\":{\"choice\":\"publish\",\"by\":\"ann\",\"at\":5,\"form\":{\"days\":9}}}");
    engine_stop(&engine);
}

/* However soon its time is over: who decides needs it in the store. */
static void test_it_parks_even_when_its_time_is_short(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: r, approve: {message: m, timeout: 3s}}]\n");
    only_run(&engine, PARKED);
    engine_stop(&engine);
}

static void test_when_nobody_decides_it_fails_or_takes_the_choice(void **state)
{
    (void)state;
    struct engine engine;
    const char *late = "{\"path\":\"r\",\"state\":3,\"attempt\":1,\"started_ms\":1,\"due_ms\":2,\"wake\":{\"kind\":1,\"arm\":0,\"at_ms\":2}}";
    begin(&engine, review(""));
    only_run(&engine, PARKED);
    resume(&engine, late);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "approval.timeout");
    assert_int_equal(number(step_at(run, 0), "output_part"), -1); /* the question is not its output */
    engine_stop(&engine);
    begin(&engine, review(", on_timeout: discard"));
    only_run(&engine, PARKED);
    resume(&engine, late);
    run = only_run(&engine, SUCCEEDED);
    json_t *outputs = bw_json_load(bw_slice_of(output(&engine.answer, run)), NULL), *given = json_object_get(outputs, "r");
    assert_string_equal(text(given, "choice"), "discard");
    assert_string_equal(text(given, "by"), "timeout");
    assert_true(number(given, "at") >= before_ms);
    json_t *form = json_pack("{s:i}", "days", 7);
    assert_true(json_equal(json_object_get(given, "form"), form));
    json_decref(form);
    json_decref(outputs);
    engine_stop(&engine);
}

/* The run is on disk before anybody has the link, and the step is as soon as it waits. */
static void test_who_is_told_gets_a_link_to_a_run_that_is_there(void **state)
{
    (void)state;
    struct engine engine;
    const struct bw_slice done = BW_SLICE("{}");
    begin(&engine, review(", notify: {uses: my/call@1, with: {text: \"${{ approval.message }}\", url: \"${{ approval.url }}\"}}"));
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    assert_true(json_is_true(json_object_get(report->head, "ack")));
    int64_t started_ms = number(run_at(report, 0), "started_ms");
    assert_int_equal(number(run_at(report, 0), "state"), ACTIVE);
    assert_int_equal(step_count(run_at(report, 0)), 0);
    assert_null(engine_poll(&engine, 100)); /* not before that */
    engine_commit(&engine, number(engine.answer.head, "report"));
    const struct answer *call = engine_next(&engine, BW_MSG_CALL);
    assert_string_equal(text(call->head, "step"), "r~notify");
    json_t *input = bw_json_load(call->parts[0], NULL);
    assert_string_equal(text(input, "text"), "Publish p-1?");
    struct bw_approval_token token;
    uint8_t key[BW_APPROVAL_KEY_BYTES];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)(i + 1);
    assert_int_equal(strncmp(text(input, "url"), URL BW_APPROVAL_PATH, strlen(URL BW_APPROVAL_PATH)), 0);
    assert_true(bw_approval_token_read(bw_slice_of(text(input, "url") + strlen(URL BW_APPROVAL_PATH)), key, &token));
    assert_true(bw_uid_equal(token.run, bw_uid_of_run(event_uid, BW_SLICE("w"))));
    assert_string_equal(token.step, "r");
    assert_int_equal(token.expires_ms, started_ms + 30 * 86400000LL);
    json_decref(input);
    engine_send(&engine, BW_MSG_CALL_RESULT, &done, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)number(call->head, "call"));
    const json_t *run = only_run(&engine, PARKED);
    assert_int_equal(step_count(run), 2);
    assert_int_equal(number(step_at(run, 1), "state"), WAITING);
    engine_stop(&engine);
}

static void test_each_one_who_is_asked_has_a_link_of_their_own(void **state)
{
    (void)state;
    struct engine engine;
    static const char *const names[] = {"ann@example.com", "bob"};
    uint8_t key[BW_APPROVAL_KEY_BYTES];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)(i + 1);
    begin(&engine, review(", to: [ann@example.com, bob], need: 2, notify: {uses: my/call@1, with: {urls: \"${{ approval.urls }}\"}}"));
    engine_commit(&engine, number(engine_next(&engine, BW_MSG_REPORT)->head, "report"));
    const struct answer *call = engine_next(&engine, BW_MSG_CALL);
    json_t *input = bw_json_load(call->parts[0], NULL), *urls = json_object_get(input, "urls");
    assert_int_equal(json_array_size(urls), 2);
    for (size_t i = 0; i < 2; i++) {
        struct bw_approval_token token;
        const char *url = text(json_array_get(urls, i), "url");
        assert_string_equal(text(json_array_get(urls, i), "to"), names[i]);
        assert_true(bw_approval_token_read(bw_slice_of(url + strlen(URL BW_APPROVAL_PATH)), key, &token));
        assert_string_equal(token.step, "r");
        assert_string_equal(token.actor, names[i]);
    }
    json_decref(input);
    const struct bw_slice done = BW_SLICE("{}");
    engine_send(&engine, BW_MSG_CALL_RESULT, &done, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)number(call->head, "call"));
    const json_t *run = only_run(&engine, PARKED);
    assert_non_null(strstr(output(&engine.answer, step_at(run, 1)), ",\"need\":2,\"to\":[\"ann@example.com\",\"bob\"]}"));
    resume(&engine, "{\"path\":\"r~notify\",\"state\":20,\"attempt\":1,\"started_ms\":1}," ASKED
                    ",\"wake\":{\"kind\":3,\"arm\":0,\"at_ms\":5,\"choice\":\"publish\",\"by\":\"bob\",\"form\":{},\"votes\":[{\"by\":\"ann\"},1]}}");
    run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run),
                        "{\"r\":{\"choice\":\"publish\",\"by\":\"bob\",\"at\":5,\"form\":{},\"votes\":[{\"by\":\"ann\"},1]}}");
    engine_stop(&engine);
}

static void test_the_link_follows_the_address_that_is_known_later(void **state)
{
    (void)state;
    struct engine engine;
    engine_start_with(&engine, ",\"approval_key\":\"" KEY "\",\"public_url\":\"http://127.0.0.1:0\"");
    engine_load_good(&engine, "plugin", PLUGIN, "workflow", review(", notify: {uses: my/call@1, with: {url: \"${{ approval.url }}\"}}"), NULL);
    engine_send(&engine, BW_MSG_PUBLIC_URL, NULL, 0, "{\"public_url\":\"http://127.0.0.1:4711\"}");
    engine_event(&engine, "{\"page\":1}");
    engine_commit(&engine, number(engine_next(&engine, BW_MSG_REPORT)->head, "report"));
    json_t *input = bw_json_load(engine_next(&engine, BW_MSG_CALL)->parts[0], NULL);
    assert_int_equal(strncmp(text(input, "url"), "http://127.0.0.1:4711/approve/", 30), 0);
    json_decref(input);
    engine_stop(&engine);
}

/* Also while another step is at work: the question is on disk, so that it can be answered. */
static void test_the_question_is_reported_while_other_steps_are_at_work(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{parallel: [{id: r, approve: {message: m}}, {id: b, uses: my/call@1}]}]\n");
    bool has_question = false;
    while (!has_question) { /* the call may come before it */
        const struct answer *answer = engine_poll(&engine, PATIENCE_MS);
        assert_non_null(answer);
        if (answer->type != BW_MSG_REPORT) continue;
        const json_t *run = run_at(answer, 0);
        assert_int_equal(number(run, "state"), ACTIVE);
        for (size_t i = 0; i < step_count(run); i++) has_question |= number(step_at(run, i), "state") == WAITING;
    }
    engine_stop(&engine);
}

#define NO_MORE "notify: {lua: \"return ctx.fail{code = 'chat.gone', message = 'no such channel'}\"}"
static void commit_first(struct engine *engine)
{
    engine_commit(engine, number(engine_next(engine, BW_MSG_REPORT)->head, "report"));
}

static void test_who_cannot_tell_anybody_fails_as_the_approval(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: r, approve: {message: m, " NO_MORE "}}]\non_failure: [{id: f, set: {step: \"${{ error.step }}\"}}]\n");
    commit_first(&engine);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "chat.gone");
    assert_string_equal(text(json_object_get(run, "error"), "step"), "r");
    engine_stop(&engine);
    begin(&engine, HEAD "steps: [{id: r, on_error: continue, approve: {message: m, " NO_MORE "}}, {id: s, set: {c: \"${{ err('r').code }}\"}}]\n"
                        "outputs: {c: \"${{ steps.s.c }}\"}\n");
    commit_first(&engine);
    run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"c\":\"chat.gone\"}");
    engine_stop(&engine);
    begin(&engine, HEAD "steps: [{id: r, approve: {message: m, " NO_MORE "}, catch: [{steps: [{id: s, set: {c: \"${{ error.code }}\"}}]}]}]\n"
                        "outputs: {c: \"${{ steps.s.c }}\"}\n");
    commit_first(&engine);
    run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"c\":\"chat.gone\"}");
    engine_stop(&engine);
}

/* The run was resumed: what had failed is done again, the notification too, but not what the run goes on without. */
static void test_a_resumed_run_tells_again_what_could_not_be_told(void **state)
{
    (void)state;
    struct engine engine;
    const char *failed = "{\"path\":\"r~notify\",\"state\":21,\"attempt\":1,\"started_ms\":1,\"again\":true,\"error\":{\"code\":\"x\"}},"
                         "{\"path\":\"r\",\"state\":21,\"attempt\":1,\"started_ms\":1,\"again\":true,\"error\":{\"code\":\"x\"}}";
    begin(&engine, HEAD "steps: [{id: r, approve: {message: m, notify: {lua: \"return {told = true}\"}}}]\n");
    commit_first(&engine);
    only_run(&engine, PARKED);
    resume(&engine, failed);
    const json_t *run = only_run(&engine, PARKED);
    assert_int_equal(step_count(run), 2);
    assert_int_equal(number(step_at(run, 0), "state"), SUCCEEDED);
    assert_int_equal(number(step_at(run, 1), "state"), WAITING);
    engine_stop(&engine);
    begin(&engine, HEAD "steps: [{id: r, on_error: continue, approve: {message: m, notify: {lua: \"return {told = true}\"}}}, {id: s, set: {}}]\n");
    commit_first(&engine);
    only_run(&engine, PARKED);
    resume(&engine, failed);
    run = only_run(&engine, SUCCEEDED);
    assert_int_equal(step_count(run), 1);
    assert_string_equal(text(step_at(run, 0), "path"), "s");
    engine_stop(&engine);
}

static void test_nobody_is_told_of_what_is_not_asked(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine,
          HEAD "steps: [{id: r, if: \"${{ false }}\", approve: {message: m, notify: {uses: my/call@1}}}]\noutputs: {s: \"${{ status('r') }}\"}\n");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"s\":\"skipped\"}");
    assert_int_equal(number(step_at(run, 0), "state"), SKIPPED);
    assert_int_equal(number(step_at(run, 1), "state"), SKIPPED);
    engine_stop(&engine);
}

static void test_a_message_that_is_no_text_fails_the_step(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps: [{id: r, approve: {message: \"${{ event.data }}\"}}]\n");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "approve.message");
    engine_stop(&engine);
    begin(&engine, HEAD "steps: [{id: r, approve: {message: \"${{ ('x'):rep(17000) }}\"}}]\n");
    assert_string_equal(code_of(only_run(&engine, FAILED)), "approve.message");
    engine_stop(&engine);
}

/* The key is the engine's: no code of a user sees it. */
static void test_no_lua_code_sees_the_key(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "steps:\n  - id: r\n    approve:\n      message: m\n      notify:\n        lua: |\n"
                        "          local seen = {}\n"
                        "          for k, v in pairs(_G or {}) do seen[#seen + 1] = tostring(k) .. tostring(v) end\n"
                        "          return {seen = table.concat(seen, ' '), approval = tostring(approval)}\n");
    commit_first(&engine);
    const json_t *run = engine_next(&engine, BW_MSG_REPORT) ? run_at(&engine.answer, 0) : NULL;
    for (size_t i = 0; i < engine.answer.part_count; i++)
        assert_null(memmem(engine.answer.parts[i].ptr, engine.answer.parts[i].len, "0102030405", 10));
    assert_true(step_count(run) >= 1);
    engine_stop(&engine);
}

static void test_a_run_that_times_out_gives_its_question_up(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, HEAD "timeout: 30s\nsteps: [{id: r, approve: {message: m}}]\n");
    only_run(&engine, PARKED);
    resume(&engine, ASKED "}"); /* it began a minute ago */
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "run.timeout");
    assert_int_equal(number(step_at(run, 0), "state"), CANCELLED);
    assert_int_equal(number(step_at(run, 0), "output_part"), -1);
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_parks_with_its_question),
        cmocka_unit_test(test_it_parks_even_when_its_time_is_short),
        cmocka_unit_test(test_when_nobody_decides_it_fails_or_takes_the_choice),
        cmocka_unit_test(test_who_is_told_gets_a_link_to_a_run_that_is_there),
        cmocka_unit_test(test_each_one_who_is_asked_has_a_link_of_their_own),
        cmocka_unit_test(test_the_link_follows_the_address_that_is_known_later),
        cmocka_unit_test(test_the_question_is_reported_while_other_steps_are_at_work),
        cmocka_unit_test(test_who_cannot_tell_anybody_fails_as_the_approval),
        cmocka_unit_test(test_a_resumed_run_tells_again_what_could_not_be_told),
        cmocka_unit_test(test_nobody_is_told_of_what_is_not_asked),
        cmocka_unit_test(test_a_message_that_is_no_text_fails_the_step),
        cmocka_unit_test(test_no_lua_code_sees_the_key),
        cmocka_unit_test(test_a_run_that_times_out_gives_its_question_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
