/* The code of steps: what it returns, what it may not do, how it waits. */
#include "script_fixture.h"

struct outcome {
    enum bw_task_state state;
    char output[4096];
    struct bw_task_failure failure;
    unsigned slices;
};

/* Runs `code` as an inline step with a deadline of one second. */
/* Only what is meant to run out of time gets little of it: a slow machine must not turn other ends into timeouts. */
#define SOON_US 1000000
#define PATIENCE_US 60000000

static struct outcome run_code_within(int64_t limit_us, const char *code, const char *input)
{
    struct fixture fixture;
    struct bw_buf yaml = {0};
    struct outcome outcome = {0};
    struct bw_error err;
    bw_buf_append_text(&yaml, "name: t\non: [{manual: true}]\nsteps:\n  - id: s\n    lua: |\n      ");
    for (const char *c = code; *c; c++) {
        bw_buf_append_char(&yaml, *c);
        if (*c == '\n') bw_buf_append_text(&yaml, "      ");
    }
    fixture_open(&fixture, yaml.data, NULL, "{}");
    if (!fixture.script) fail_msg("%s does not compile", code);
    const struct bw_grant grant = {BW_SLICE("KEY"), BW_SLICE("value-of-key")};
    const struct bw_task_options options = {.step = 0,
                                            .input = bw_slice_of(input),
                                            .idempotency_key = "bw_key",
                                            .attempt = 1,
                                            .grants = &grant,
                                            .grant_count = 1,
                                            .deadline_us = bw_clock_mono_us() + limit_us};
    struct bw_task *task = bw_task_new(fixture.script, &options, &err);
    if (!task) {
        outcome.state = BW_TASK_FAILED;
        outcome.failure.error = err;
    } else {
        while ((outcome.state = bw_task_resume(task)) == BW_TASK_YIELDED) outcome.slices++;
        if (outcome.state == BW_TASK_DONE)
            snprintf(outcome.output, sizeof outcome.output, "%.*s", (int)bw_task_output(task).len, bw_task_output(task).ptr);
        if (outcome.state == BW_TASK_FAILED) outcome.failure = *bw_task_failure(task);
        bw_task_free(task);
    }
    fixture_close(&fixture);
    bw_buf_free(&yaml);
    return outcome;
}

static struct outcome run_code(const char *code, const char *input)
{
    return run_code_within(PATIENCE_US, code, input);
}

static const struct {
    const char *code, *expected; /* JSON, or the code of the error */
} table[] = {
    {"return {a = input.x, b = input.list[2]}", "{\"a\":1,\"b\":20}"},
    {"return input", "{\"empty\":[],\"list\":[10,20,null],\"x\":1}"},
    {"return nil", "{}"},
    {"return 7", "{\"value\":7}"},
    {"return {1, 2}", "{\"value\":[1,2]}"},
    {"return {k = ctx.idempotency_key, n = ctx.attempt, s = ctx.secret('KEY')}", "{\"k\":\"bw_key\",\"n\":1,\"s\":\"value-of-key\"}"},
    {"return {u = ctx.urlencode('a b/c'), b = ctx.base64.encode('hi'), b2 = ctx.base64('hi'), d = ctx.base64.decode('aGk=')}",
     "{\"b\":\"aGk=\",\"b2\":\"aGk=\",\"d\":\"hi\",\"u\":\"a%20b%2Fc\"}"},
    {"return {h = ctx.hmac('sha256', 'key', 'The quick brown fox jumps over the lazy dog')}",
     "{\"h\":\"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8\"}"},
    {"return {t = ctx.json.encode({a = {}, b = ctx.json.array({})}), v = ctx.json.decode('[1,null]')[1]}",
     "{\"t\":\"{\\\"a\\\":{},\\\"b\\\":[]}\",\"v\":1}"},
    {"local ok, e = pcall(error, 'x') return {ok = ok, e = e}", "{\"e\":\"x\",\"ok\":false}"},
    {"return {x = select('#', 1, 2, 3), r = ('ab'):rep(3, '-'), g = ('a1b2'):gsub('%d', '')}", "{\"g\":\"ab\",\"r\":\"ab-ab-ab\",\"x\":3}"},
    {"return ctx.fail{code = 'nope', message = 'no'}", "nope"},
    {"error(ctx.fail{code = 'nope'})", "nope"},
    {"return ctx.retry{code = 'busy', after = 2}", "busy"},
    {"local t = {} return {y = t.x.y}", "lua.error"},
    {"error({code = 'x'})", "lua.error"},
    {"ctx.secret('OTHER')", "lua.error"},
    {"return {f = print}", "output.invalid"},
    {"local t = {} t.t = t return t", "json.too_deep"},
    {"return {x = 1/0}", "output.invalid"},
    {"ctx.x = 1", "lua.error"},
    /* hostile: each ends softly, as an error of its own */
    {"while true do end", "lua.timeout"},
    {"::a:: goto a", "lua.timeout"},
    {"local function f() return f() end f()", "lua.timeout"},
    {"for i = 1, math.huge do end", "lua.timeout"},
    {"while true do pcall(function() while true do end end) end", "lua.timeout"},
    {"local function f() pcall(f) while true do end end f()", "lua.timeout"},
    {"while true do xpcall(function() while true do end end, function(e) while true do end end) end", "lua.timeout"},
    {"setmetatable({}, {__gc = function() while true do end end})", "lua.denied"},
    {"local t <close> = setmetatable({}, {__close = function() while true do end end})", "lua.timeout"},
    {"local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return {x = t[1]}", "lua.error"},
    {"table.sort({3, 2, 1, 5, 4}, function(a, b) while true do end end)", "lua.timeout"},
    {"return {x = #(''):rep(1 << 60)}", "{\"x\":0}"},
    {"return {x = ('x'):rep(1 << 40)}", "lua.memory"},
    {"local t = {} table.move(t, 1, 1e9, 2)", "lua.error"},
    {"local t = setmetatable({}, {__len = function() return 1 << 60 end}) table.insert(t, 1) table.remove(t) table.sort(t) return {x = "
     "table.concat(t)}",
     "{\"x\":\"\"}"},
    {"local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end", "lua.memory"},
    {"local s = 'x' while true do s = s .. s end", "lua.memory"},
    {"local t = {} while true do pcall(function() for i = 1, 1e9 do t[#t + 1] = ('y'):rep(1000) .. i end end) end", "lua.memory"},
    {"return {x = string.format('%99999d', 1)}", "lua.error"},
    {"local function f(n) return n == 0 and 0 or 1 + f(n - 1) end return {x = f(1e7)}", "lua.memory"},
    {"os.execute('true')", "lua.denied"},
    {"io.open('/etc/passwd')", "lua.denied"},
    {"dofile('/etc/passwd')", "lua.denied"},
    {"loadfile('/etc/passwd')", "lua.denied"},
    {"load('return 1')", "lua.denied"},
    {"require('os')", "lua.denied"},
    {"debug.getregistry()", "lua.denied"},
    {"package.loadlib('x', 'y')", "lua.denied"},
    {"coroutine.wrap(function() end)", "lua.denied"},
    {"return {x = string.dump ~= nil}", "{\"x\":false}"},
    {"getmetatable('').__index = nil", "lua.error"},
    {"string.rep = nil", "lua.denied"},
    {"rawset(string, 'rep', nil)", "lua.denied"},
    {"return {x = tostring(print), y = tostring({})}", "{\"x\":\"function\",\"y\":\"table\"}"},
    {"local e = setmetatable({}, {__tostring = function() while true do end end}) error(e)", "lua.error"},
    {"local n = 0 for _ in pairs(_ENV) do n = n + 1 end return {globals = _G ~= nil}", "{\"globals\":false}"},
    {"for i = 1, 1e4 do print(('z'):rep(1000)) end", "{}"},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t limit_us = strstr(table[i].expected, "lua.timeout") ? SOON_US : PATIENCE_US;
        struct outcome outcome = run_code_within(limit_us, table[i].code, "{\"x\":1,\"list\":[10,20,null],\"empty\":[]}");
        const char *got = outcome.state == BW_TASK_DONE ? outcome.output : outcome.failure.error.code;
        if (strcmp(got, table[i].expected) != 0)
            fail_msg("%s: %s (%s), expected %s", table[i].code, got, outcome.failure.error.message, table[i].expected);
    }
}

static void test_errors_name_the_files_line(void **state)
{
    (void)state;
    struct outcome outcome = run_code("local x = 1\nlocal t = nil\nreturn {y = t.z}", "{}");
    assert_int_equal(outcome.state, BW_TASK_FAILED);
    assert_int_equal(outcome.failure.error.line, 8);
    assert_string_equal(outcome.failure.error.file, "test.yaml");
    assert_int_equal(outcome.failure.class, BW_FAILURE_BUG);
}

static void test_long_code_gives_way_between_slices(void **state)
{
    (void)state;
    struct outcome outcome = run_code("local n = 0 for i = 1, 2e7 do n = n + i end return {n = n}", "{}");
    assert_int_equal(outcome.state, BW_TASK_DONE);
    assert_true(outcome.slices > 5);
}

static void test_a_run_leaves_nothing_for_the_next(void **state)
{
    struct fixture fixture;
    struct bw_error err;
    (void)state;
    fixture_open(&fixture, "name: t\non: [{manual: true}]\nsteps:\n  - {id: a, lua: 'seen = (seen or 0) + 1 return {seen = seen}'}\n", NULL, "{}");
    for (int run = 0; run < 3; run++) {
        const struct bw_task_options options = {
            .input = BW_SLICE("{}"), .idempotency_key = "k", .attempt = 1, .deadline_us = bw_clock_mono_us() + PATIENCE_US};
        struct bw_task *task = bw_task_new(fixture.script, &options, &err);
        assert_int_equal(bw_task_resume(task), BW_TASK_DONE);
        assert_true(bw_slice_is(bw_task_output(task), "{\"seen\":1}"));
        bw_task_free(task);
        bw_script_end_run(fixture.script);
        bw_script_begin_run(fixture.script, &(struct bw_run_scope){0});
    }
    fixture_close(&fixture);
}

static const char action_source[] = "return action {\n  name = \"crm/note\", version = \"2.1.0\", doc = \"d\",\n  inputs = {text = {type = "
                                    "\"string\", required = true}}, secrets = {\"TOKEN\"}, timeout = \"5s\", retry = {attempts = 3},\n"
                                    "  run = function(ctx, input)\n    local r = ctx.http{method = \"POST\", url = \"http://x/\" .. input.text, json "
                                    "= {t = input.text}, headers = {[\"X-Key\"] = ctx.idempotency_key}, query = {q = \"a b\"}}\n"
                                    "    return {status = r.status, id = r.json.id, type = r.headers[\"content-type\"]}\n  end }\n";

static void test_action_waits_for_http_and_goes_on(void **state)
{
    struct fixture fixture;
    struct bw_error err;
    (void)state;
    struct bw_action *action = bw_action_load(fixture_loader(), bw_slice_of(action_source), "note.lua", NULL, 0, &err);
    if (!action) fail_msg("%s", err.message);
    assert_string_equal(action->name, "crm/note");
    assert_int_equal(action->major, 2);
    assert_int_equal(action->timeout_ms, 5000);
    assert_int_equal(action->retry.attempts, 3);
    assert_string_equal(action->secrets[0], "TOKEN");
    const struct bw_action *actions[] = {action};
    fixture_open(&fixture, "name: t\non: [{manual: true}]\nsteps: [{id: n, uses: crm/note@2}]\n", actions, "{}");
    const struct bw_task_options options = {
        .input = BW_SLICE("{\"text\":\"hi\"}"), .idempotency_key = "bw_k", .attempt = 1, .deadline_us = bw_clock_mono_us() + PATIENCE_US};
    struct bw_task *task = bw_task_new(fixture.script, &options, &err);
    if (!task) fail_msg("%s", err.message);
    assert_int_equal(bw_task_resume(task), BW_TASK_WAITS);
    const struct bw_task_request *request = bw_task_request(task);
    assert_true(bw_slice_is(request->method, "POST"));
    assert_true(bw_slice_is(request->url, "http://x/hi?q=a%20b"));
    assert_true(bw_slice_is(request->body, "{\"t\":\"hi\"}"));
    assert_int_equal(request->header_count, 2);
    const struct bw_http_header header = {BW_SLICE("Content-Type"), BW_SLICE("application/json")};
    bw_task_answer(task, &(struct bw_http_answer){.status = 201, .headers = &header, .header_count = 1, .body = BW_SLICE("{\"id\":7}")});
    assert_int_equal(bw_task_resume(task), BW_TASK_DONE);
    assert_true(bw_slice_is(bw_task_output(task), "{\"id\":7,\"status\":201,\"type\":\"application/json\"}"));
    bw_task_free(task);
    /* A network failure is transient. */
    task = bw_task_new(fixture.script, &options, &err);
    assert_int_equal(bw_task_resume(task), BW_TASK_WAITS);
    struct bw_error network;
    bw_error_set(&network, "http.network", "connection refused");
    bw_task_answer(task, &(struct bw_http_answer){.error = &network, .transient = true});
    assert_int_equal(bw_task_resume(task), BW_TASK_FAILED);
    assert_int_equal(bw_task_failure(task)->class, BW_FAILURE_TRANSIENT);
    assert_string_equal(bw_task_failure(task)->error.code, "http.network");
    bw_task_free(task);
    fixture_close(&fixture);
    bw_action_free(action);
}

static const struct {
    const char *source, *code;
    int line;
} bad_actions[] = {
    {"return {", "lua.syntax", 1},
    {"local x = 1\nretrun x", "lua.syntax", 2},
    {"return 7", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0'}", "action.invalid", 0},
    {"return action{name = 'ab', version = '1.0.0', run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', limit = {name = 'llm'}, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', heartbeat = 'soon', run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', heartbeat = 30, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', timeout = 30, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', timeout = 'soon', run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', effect = true, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', effect = 'reads', run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', doc = 7, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = 1, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', retry = 3, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', retry = {atempts = 3}, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', secrets = 'KEY', run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', inputs = {x = {enum = {'a'}, default = 'b'}}, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', input = {}, run = function() end}", "action.invalid", 0},
    {"return action{name = 'a/b', version = '1.0.0', inputs = {x = {type = 'text'}}, run = function() end}", "action.invalid", 0},
    {"while true do end", "lua.timeout", 0},
    {"os.exit()", "lua.denied", 1},
};

static void test_bad_action_files_are_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_actions / sizeof *bad_actions; i++) {
        struct bw_error err = {0};
        struct bw_action *action = bw_action_load(fixture_loader(), bw_slice_of(bad_actions[i].source), "bad.lua", NULL, 0, &err);
        if (action) fail_msg("%s was accepted", bad_actions[i].source);
        if (strcmp(err.code, bad_actions[i].code) != 0) fail_msg("%s: %s %s", bad_actions[i].source, err.code, err.message);
        if (bad_actions[i].line) assert_int_equal(err.line, bad_actions[i].line);
    }
}

/* Whoever makes a task may forget what it was made from: the code goes on long after that. */
static void test_secrets_can_be_read_after_a_wait(void **state)
{
    (void)state;
    struct fixture fixture;
    struct bw_error err;
    char name[] = "KEY";
    struct bw_grant grants[] = {{bw_slice_of(name), BW_SLICE("value-of-key")}};
    const struct bw_task_options options = {
        .input = BW_SLICE("{}"), .attempt = 1, .grants = grants, .grant_count = 1, .deadline_us = bw_clock_mono_us() + PATIENCE_US};
    fixture_open(&fixture, "name: t\non: [{manual: true}]\nsteps: [{id: a, lua: 'ctx.sleep(1) return {s = ctx.secret(\"KEY\")}'}]\n", NULL, "{}");
    struct bw_task *task = bw_task_new(fixture.script, &options, &err);
    assert_non_null(task);
    memset(name, 'x', sizeof name);
    memset(grants, 0, sizeof grants);
    assert_int_equal(bw_task_resume(task), BW_TASK_WAITS);
    assert_true(bw_task_answer(task, NULL));
    assert_int_equal(bw_task_resume(task), BW_TASK_DONE);
    assert_true(bw_slice_is(bw_task_output(task), "{\"s\":\"value-of-key\"}"));
    bw_task_free(task);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_errors_name_the_files_line),
        cmocka_unit_test(test_long_code_gives_way_between_slices),
        cmocka_unit_test(test_a_run_leaves_nothing_for_the_next),
        cmocka_unit_test(test_action_waits_for_http_and_goes_on),
        cmocka_unit_test(test_bad_action_files_are_refused_with_the_reason),
        cmocka_unit_test(test_secrets_can_be_read_after_a_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
