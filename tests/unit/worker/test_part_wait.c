/* Parts that wait: what is reported of a call and of a question, what comes of their ends, and that nothing goes on before those are on disk. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define CALLEE "---\nname: x\non: [{call: true}]\ninputs: {n: {type: integer, required: true}}\nsteps: [{id: s, set: {}}]\n"
#define CALL "steps: [{id: a, lua: \"local got, why = ctx.part.run('c[1]', 'workflow/x', {n = 5}) return got or {code = why.code}\"}]\n"
#define ASK                                                                                                                                      \
    "steps: [{id: a, lua: \"local all = ctx.part.ask{{name = 'q[1]', message = 'Go?', on_timeout = 'reject', timeout = '1h'}, {name = 'q[2]', "  \
    "message = 'And?', to = {'ann', 'bob'}, need = 2}} return {one = all[1].choice, two = all[2].choice, by = all[1].by, votes = all[2].votes, " \
    "code = all[2].error and all[2].error.code}\"}]\n"
#define KEY ",\"approval_key\":\"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\",\"public_url\":\"https://h.example\""

enum { WAITING = 3 };

static void begin(struct engine *engine, const char *workflow)
{
    char *whole = NULL;
    engine_start_with(engine, KEY);
    assert_true(asprintf(&whole, HEAD "%s" CALLEE, workflow) > 0);
    engine_load_good(engine, "workflow", whole, NULL);
    free(whole);
}

/* Goes on with the step, which waits for the parts in `waits_for`, and with their rows; parts: what they refer to, from 3 on. */
static void resume(struct engine *engine, const char *waits_for, const char *rows, const struct bw_slice *parts, size_t part_count)
{
    char *more = NULL, *row = NULL;
    struct bw_slice all[8];
    int len = asprintf(&row, "{\"waits_for\":[%s],\"since_ms\":5,\"queued_ms\":0,\"time\":0}", waits_for);
    assert_true(len > 0 && part_count < 8);
    all[0] = (struct bw_slice){row, (size_t)len};
    for (size_t i = 0; i < part_count; i++) all[1 + i] = parts[i];
    assert_true(
        asprintf(&more,
                 ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"steps\":[%s,{\"path\":"
                 "\"a\",\"state\":3,\"attempt\":2,\"started_ms\":5,\"output_part\":2}]}]",
                 run_of("w"), (long long)bw_clock_wall_ms(), rows) > 0);
    engine_event_with(engine, "{}", more, all, 1 + part_count);
    free(more);
    free(row);
}

#define ROW(path, more) "{\"path\":\"a." path "\",\"state\":3,\"attempt\":1,\"started_ms\":5" more "}"
#define WAKE(kind, more) ",\"wake\":{\"kind\":" kind ",\"arm\":0,\"at_ms\":9" more "}"
#define CHILD(state, error)                                                                                                             \
    WAKE("4", "")                                                                                                                       \
    ",\"children\":{\"total\":1,\"started\":1,\"succeeded\":1,\"failed\":0,\"failed_items\":[],\"state\":" state ",\"error\":" error "" \
    ",\"items_part\":3}"
#define VOTE(choice, by, votes) WAKE("3", ",\"choice\":\"" choice "\",\"by\":\"" by "\",\"form\":{},\"votes\":" votes)
#define QUESTION "{\"message\":\"Go?\",\"choices\":[\"approve\",\"reject\"],\"form\":{},\"need\":1,\"on_timeout\":\"reject\"}"
#define OF_TWO "{\"message\":\"And?\",\"choices\":[\"approve\",\"reject\"],\"to\":[\"ann\",\"bob\"],\"form\":{},\"need\":2}"

/* The next message has what came of the parts, and is to be on disk before the code goes on. */
static const json_t *settled(struct engine *engine, size_t count, int64_t *report)
{
    const struct answer *answer = engine_next(engine, BW_MSG_REPORT);
    assert_true(json_is_true(json_object_get(answer->head, "ack")));
    *report = number(answer->head, "report");
    const json_t *run = run_at(answer, 0);
    assert_int_equal(number(run, "state"), ACTIVE);
    assert_int_equal(step_count(run), count);
    return run;
}

static void test_a_call_parks_with_the_run_that_it_starts(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CALL);
    engine_event(&engine, "{}");
    const json_t *run = only_run(&engine, PARKED), *part = step_at(run, 0), *step = step_at(run, 1), *join = json_object_get(part, "join");
    assert_string_equal(text(part, "path"), "a.c[1]");
    assert_int_equal(number(part, "state"), WAITING);
    assert_int_equal(number(part, "ended_ms"), 0);
    assert_string_equal(text(join, "workflow"), "x");
    assert_true(number(join, "total") == 1 && number(join, "depth") == 1 && json_is_true(json_object_get(join, "call")));
    const struct bw_slice items = engine.answer.parts[number(join, "items_part")];
    assert_true(items.len == 4 + strlen("{\"n\":5}") && !memcmp(items.ptr + 4, "{\"n\":5}", items.len - 4));
    assert_string_equal(output(&engine.answer, part), "");
    assert_string_equal(text(step, "path"), "a");
    assert_int_equal(number(step, "state"), WAITING);
    assert_int_equal(number(step, "attempt"), 1);
    assert_int_equal(number(step, "due_ms"), -1);
    assert_non_null(strstr(output(&engine.answer, step), "{\"waits_for\":[\"a.c[1]\"],"));
    engine_stop(&engine);
}

static void test_what_becomes_of_the_run_is_on_disk_before_the_code_goes_on(void **state)
{
    static const struct {
        const char *row;
        int state;
        const char *wanted;
    } cases[] = {
        {ROW("c[1]", CHILD("20", "null")), SUCCEEDED, "{\"v\":7}"},
        {ROW("c[1]", CHILD("21", "{\"code\":\"x.bad\",\"message\":\"m\"}")), FAILED, "{\"code\":\"x.bad\"}"},
        {ROW("c[1]", CHILD("22", "null")), FAILED, "{\"code\":\"call.cancelled\"}"},
        {ROW("c[1]", CHILD("23", "null")), FAILED, "{\"code\":\"call.skipped\"}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        int64_t report;
        begin(&engine, CALL);
        resume(&engine, "\"a.c[1]\"", cases[i].row, &(struct bw_slice){"[{\"v\":7}]", 9}, 1);
        const json_t *part = step_at(settled(&engine, 1, &report), 0);
        assert_int_equal(number(part, "state"), cases[i].state);
        assert_null(engine_poll(&engine, 100)); /* nothing goes on */
        engine_commit(&engine, report);
        const json_t *run = only_run(&engine, SUCCEEDED), *step = step_at(run, 0);
        assert_int_equal(step_count(run), 1);
        assert_string_equal(output(&engine.answer, step), cases[i].wanted);
        assert_int_equal(number(step, "attempt"), 2); /* the one that it was */
        engine_stop(&engine);
    }
}

static void test_questions_park_with_what_is_asked_and_until_when(void **state)
{
    (void)state;
    struct engine engine;
    int64_t before_ms = bw_clock_wall_ms();
    begin(&engine, ASK);
    engine_event(&engine, "{}");
    const json_t *run = only_run(&engine, PARKED), *one = step_at(run, 0), *two = step_at(run, 1);
    assert_int_equal(step_count(run), 3);
    assert_string_equal(text(one, "path"), "a.q[1]");
    assert_true(number(one, "due_ms") >= before_ms + 3600000 && number(one, "due_ms") <= bw_clock_wall_ms() + 3600000);
    assert_true(number(two, "due_ms") >= before_ms + 7 * 86400000LL);
    json_t *question = bw_json_load(bw_slice_of(output(&engine.answer, two)), NULL);
    assert_string_equal(text(question, "message"), "And?");
    assert_int_equal(json_array_size(json_object_get(question, "choices")), 2);
    assert_true(number(question, "need") == 2 && json_is_object(json_object_get(question, "form")) && !json_object_get(question, "name"));
    json_decref(question);
    engine_stop(&engine);
}

static void test_one_answer_is_recorded_and_the_other_one_waited_for(void **state)
{
    (void)state;
    struct engine engine;
    const struct bw_slice questions[] = {BW_SLICE(QUESTION), BW_SLICE(OF_TWO)};
    begin(&engine, ASK);
    resume(&engine, "\"a.q[1]\",\"a.q[2]\"",
           ROW("q[1]", ",\"output_part\":3,\"due_ms\":9000000000000" VOTE("approve", "Ann", "[]")) "," ROW(
               "q[2]", ",\"output_part\":4,\"due_ms\":9000000000000"),
           questions, 2);
    const json_t *run = only_run(&engine, PARKED);
    assert_int_equal(step_count(run), 1); /* the other rows are as they were */
    assert_string_equal(text(step_at(run, 0), "path"), "a.q[1]");
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"choice\":\"approve\",\"by\":\"Ann\",\"at\":9,\"form\":{}}");
    engine_stop(&engine);
}

static void test_answers_of_people_and_of_time(void **state)
{
    static const struct {
        const char *rows, *wanted;
        int second;
    } cases[] = {
        {ROW("q[1]", ",\"output_part\":3,\"due_ms\":9000000000000" VOTE("approve", "Ann", "[]")) "," ROW(
             "q[2]", ",\"output_part\":4,\"due_ms\":9000000000000" VOTE("reject", "bob", "[{\"by\":\"bob\"}]")),
         "{\"by\":\"Ann\",\"one\":\"approve\",\"two\":\"reject\",\"votes\":[{\"by\":\"bob\"}]}", SUCCEEDED},
        {ROW("q[1]", ",\"output_part\":3" WAKE("1", "")) "," ROW("q[2]", ",\"output_part\":4,\"due_ms\":9"),
         "{\"by\":\"timeout\",\"code\":\"approval.timeout\",\"one\":\"reject\"}", FAILED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine engine;
        int64_t report;
        const struct bw_slice questions[] = {BW_SLICE(QUESTION), BW_SLICE(OF_TWO)};
        begin(&engine, ASK);
        resume(&engine, "\"a.q[1]\",\"a.q[2]\"", cases[i].rows, questions, 2);
        const json_t *run = settled(&engine, 2, &report);
        assert_int_equal(number(step_at(run, 0), "state"), SUCCEEDED);
        assert_int_equal(number(step_at(run, 1), "state"), cases[i].second);
        engine_commit(&engine, report);
        assert_string_equal(output(&engine.answer, step_at(only_run(&engine, SUCCEEDED), 0)), cases[i].wanted);
        engine_stop(&engine);
    }
}

/* Else its wake would be there when the run is parked, and wake it again. */
static void test_what_wakes_it_for_nothing_is_taken_notice_of(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CALL);
    resume(&engine, "\"a.c[1]\"", ROW("c[1]", WAKE("1", "")), NULL, 0);
    const json_t *run = only_run(&engine, PARKED), *part = step_at(run, 0);
    assert_int_equal(step_count(run), 1);
    assert_int_equal(number(part, "state"), WAITING);
    assert_null(json_object_get(part, "join"));
    engine_stop(&engine);
}

/* The process died after it had recorded the end of the parts, and before the code went on. */
static void test_when_all_is_recorded_the_code_goes_on_at_once(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, CALL);
    resume(&engine, "\"a.c[1]\"", "{\"path\":\"a.c[1]\",\"state\":20,\"attempt\":1,\"started_ms\":5,\"ended_ms\":6,\"output_part\":3}",
           &(struct bw_slice){"{\"v\":8}", 7}, 1);
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, step_at(run, 0)), "{\"v\":8}");
    engine_stop(&engine);
}

static void test_who_cancels_the_run_cancels_what_is_waited_for(void **state)
{
    (void)state;
    struct engine engine;
    char *more = NULL;
    begin(&engine, CALL);
    assert_true(
        asprintf(&more,
                 ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"cancelled\":{\"by\":"
                 "\"Ann\"},\"steps\":[" ROW("c[1]", "") ",{\"path\":\"a\",\"state\":3,\"attempt\":1,\"started_ms\":5,\"output_part\":2}]}]",
                 run_of("w"), (long long)bw_clock_wall_ms()) > 0);
    engine_event_with(&engine, "{}", more, &(struct bw_slice)BW_SLICE("{\"waits_for\":[\"a.c[1]\"]}"), 1);
    free(more);
    const json_t *run = only_run(&engine, CANCELLED);
    assert_int_equal(step_count(run), 2);
    assert_int_equal(number(step_at(run, 0), "state"), CANCELLED);
    assert_int_equal(number(step_at(run, 1), "state"), CANCELLED);
    engine_stop(&engine);
}

/* A run that was resumed goes on with the run that it had called. */
static void test_a_call_that_is_made_again_opens_what_there_is(void **state)
{
    (void)state;
    struct engine engine;
    char *more = NULL;
    begin(&engine, CALL);
    assert_true(asprintf(&more,
                         ",\"resume\":\"w\",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"woken\":true,\"lost\":0,\"started_ms\":%lld,\"steps\":[{\"path\":"
                         "\"a.c[1]\",\"state\":21,\"attempt\":1,\"started_ms\":5,\"again\":true,\"children_total\":1}]}]",
                         run_of("w"), (long long)bw_clock_wall_ms()) > 0);
    engine_event_with(&engine, "{}", more, NULL, 0);
    free(more);
    const json_t *join = json_object_get(step_at(only_run(&engine, PARKED), 0), "join");
    assert_true(json_is_true(json_object_get(join, "reopen")));
    engine_stop(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_parks_with_the_run_that_it_starts),
        cmocka_unit_test(test_what_becomes_of_the_run_is_on_disk_before_the_code_goes_on),
        cmocka_unit_test(test_questions_park_with_what_is_asked_and_until_when),
        cmocka_unit_test(test_one_answer_is_recorded_and_the_other_one_waited_for),
        cmocka_unit_test(test_answers_of_people_and_of_time),
        cmocka_unit_test(test_what_wakes_it_for_nothing_is_taken_notice_of),
        cmocka_unit_test(test_when_all_is_recorded_the_code_goes_on_at_once),
        cmocka_unit_test(test_who_cancels_the_run_cancels_what_is_waited_for),
        cmocka_unit_test(test_a_call_that_is_made_again_opens_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
