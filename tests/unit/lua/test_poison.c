/* What one step does to its state, no other step and no other run of the same state must see: neither in code nor in expressions. */
#include "script_fixture.h"

static const char *const code_poisons[] = {
    "ctx.json.encode = function() return 'evil' end",
    "ctx.json.decode = nil",
    "ctx.log.info = nil",
    "ctx.base64.encode = function() return 'evil' end",
    "ctx.http = nil",
    "rawset(ctx, 'http', nil)",
    "rawset(ctx.json, 'encode', function() return 'evil' end)",
    "rawset(string, 'rep', nil)",
    "table.insert(ctx.json, 'evil')",
    "string.rep = nil",
    "string.upper = function() return 'evil' end",
    "table.insert(string, 'evil')",
    "table.move({'evil'}, 1, 1, 1, string)",
    "setmetatable(string, {__index = function() return 'evil' end})",
    "getmetatable('').__index = function() return 'evil' end",
    "getmetatable(ctx.fail{code = 'x'}).__tostring = function() return 'evil' end",
    "getmetatable(ctx.fail{code = 'x'}).__index = function() return 'evil' end",
    "local m = getmetatable(ctx.json.array{}) m.__index = function() return 'evil' end",
    "setmetatable(ctx.json.array{}, {__index = function() return 'evil' end})",
    "getmetatable(_ENV).__index = {}",
    "setmetatable(_ENV, {__index = function() return 'evil' end})",
    "rawset(_ENV, 'tostring', function() return 'evil' end)",
    "tostring = function() return 'evil' end pcall = nil print = nil",
    "math.floor = nil math.pi = 3",
    "leaked = input leak = ctx",
    "input.leak = 'evil'",
    "_ENV = {}",
    "getmetatable(input).__index = function() return 'evil' end",
    "os.x = 1",
    "action = 'evil'",
};
static const char code_canary[] =
    "return {a = string.rep('x', 2), b = ('x'):upper(), c = tostring(select(2, pcall(error, ctx.fail{code = 'c', message = 'm'}))), d = "
    "ctx.json.encode({1}), e = ctx.base64.encode('hi'), f = math.floor(2.5), "
    "g = string[1] == nil and ctx.json[1] == nil, h = leaked == nil and input.leak == nil, i = type(pcall), j = "
    "ctx.json.array{}.zzz == nil, k = type(ctx.log.info), l = select(2, pcall(error, ctx.fail{code = 'x'})).zzz == nil, "
    "m = math.pi > 3.14, n = type(ctx.json.decode), o = ('x').zzz == nil}";
static const char code_expected[] = "{\"a\":\"xx\",\"b\":\"X\",\"c\":\"m\",\"d\":\"[1]\",\"e\":\"aGk=\",\"f\":2,\"g\":true,\"h\":true,\"i\":"
                                    "\"function\",\"j\":true,\"k\":\"function\",\"l\":true,\"m\":true,\"n\":\"function\",\"o\":true}";

/* Statements inside a function literal: the only way to assign in an expression. */
static const char *const expr_poisons[] = {
    "lower = event.data",
    "lower = function() return \"evil\" end",
    "json = nil",
    "string.upper = nil",
    "event = 1",
    "event.data = {x = 2}",
    "event.data.x = 2",
    "event.data.leak = event",
    "vars.limit = 9",
    "steps = 1",
    "workflow.name = \"evil\"",
    "null = 1",
    "leaked = event.data",
    "_ENV = {}",
    "string.zzz = event.data",
    "list{}.x = 1",
    "secrets = {}",
    "math.pi = event",
    "ok = function() end",
    "tostring = nil",
};
static const char expr_canary[] = "{lower(\"AB\"), json({1}), upper(\"x\"), event.data.x, vars.limit, workflow.name, event.data.leak == nil, list{}, "
                                  "null, (\"x\").zzz == nil, math.pi > 3.14, tostring(1)}";
static const char expr_expected[] = "[\"ab\",\"[1]\",\"X\",1,3,\"t\",true,[],null,true,true,\"1\"]";
#define COUNT(array) (sizeof array / sizeof *array)

static void append_quoted(struct bw_buf *yaml, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'') bw_buf_append_char(yaml, '\'');
        bw_buf_append_char(yaml, *text);
    }
}

static void run_code(struct bw_script *script, size_t step, char *out, size_t size)
{
    struct bw_error err;
    const struct bw_task_options options = {
        .step = step, .input = BW_SLICE("{\"list\":[1]}"), .idempotency_key = "k", .attempt = 1, .deadline_us = bw_clock_mono_us() + 60000000};
    struct bw_task *task = bw_task_new(script, &options, &err);
    assert_non_null(task);
    enum bw_task_state state = bw_task_resume(task);
    while (state == BW_TASK_YIELDED) state = bw_task_resume(task);
    if (state == BW_TASK_DONE)
        snprintf(out, size, "%.*s", (int)bw_task_output(task).len, bw_task_output(task).ptr);
    else
        snprintf(out, size, "%s", bw_task_failure(task)->error.message);
    bw_task_free(task);
}

static void test_code_leaves_nothing_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(code_poisons); i++) {
        struct fixture fixture;
        struct bw_buf yaml = {0};
        char out[1024];
        bw_buf_append_text(&yaml, "name: t\non: [{manual: true}]\nsteps:\n  - {id: p, lua: '");
        append_quoted(&yaml, code_poisons[i]);
        bw_buf_append_text(&yaml, "'}\n  - {id: c, lua: '");
        append_quoted(&yaml, code_canary);
        bw_buf_append_text(&yaml, "'}\n");
        fixture_open(&fixture, yaml.data, NULL, "{}");
        assert_non_null(fixture.script);
        run_code(fixture.script, 0, out, sizeof out);
        for (int run = 0; run < 2; run++) {
            run_code(fixture.script, 1, out, sizeof out);
            if (strcmp(out, code_expected) != 0) fail_msg("after %s: %s", code_poisons[i], out);
            bw_script_end_run(fixture.script);
            bw_script_begin_run(fixture.script, &(struct bw_run_scope){0});
        }
        fixture_close(&fixture);
        bw_buf_free(&yaml);
    }
}

static void test_expressions_leave_nothing_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(expr_poisons); i++) {
        struct fixture fixture;
        struct bw_buf yaml = {0}, out = {0};
        struct bw_error err;
        char *body = strdup("{\"x\":7}"); /* freed at the end of its run: a view that outlives it is a use after free */
        bw_buf_append_text(&yaml, "name: t\non: [{manual: true}]\nvars: {limit: 3}\nsteps:\n  - id: s\n    set:\n      a: '${{ (function() ");
        append_quoted(&yaml, expr_poisons[i]);
        bw_buf_append_text(&yaml, " end)() }}'\n      b: '${{ ");
        append_quoted(&yaml, expr_canary);
        bw_buf_append_text(&yaml, " }}'\n");
        fixture_open(&fixture, yaml.data, NULL, body);
        assert_non_null(fixture.script);
        bw_script_render(fixture.script, fixture.workflows[0]->steps[0].set->items[0], &(struct bw_render){0}, &out, &err);
        bw_script_end_run(fixture.script);
        free(body);
        const struct bw_run_scope scope = {.event_body = BW_SLICE("{\"x\":1}"), .body_is_json = true, .event_headers = BW_SLICE("{}")};
        bw_script_begin_run(fixture.script, &scope);
        bw_buf_clear(&out);
        if (!bw_script_render(fixture.script, fixture.workflows[0]->steps[0].set->items[1], &(struct bw_render){0}, &out, &err))
            fail_msg("after %s: %s", expr_poisons[i], err.message);
        if (strcmp(out.data, expr_expected) != 0) fail_msg("after %s: %s", expr_poisons[i], out.data);
        bw_buf_free(&out);
        bw_buf_free(&yaml);
        fixture_close(&fixture);
    }
}

/* An expression gives the same value twice (semantics.md 3.2): what it assigns is refused, not only forgotten. */
static void test_assignments_in_expressions_are_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(expr_poisons); i++) {
        struct fixture fixture;
        struct bw_buf yaml = {0}, out = {0};
        struct bw_error err;
        if (strstr(expr_poisons[i], "_ENV") || strstr(expr_poisons[i], "list{}")) continue; /* their own locals and values */
        bw_buf_append_text(&yaml, "name: t\non: [{manual: true}]\nvars: {limit: 3}\nsteps:\n  - id: s\n    set:\n      a: '${{ (function() ");
        append_quoted(&yaml, expr_poisons[i]);
        bw_buf_append_text(&yaml, " end)() }}'\n");
        fixture_open(&fixture, yaml.data, NULL, "{\"x\":1}");
        assert_non_null(fixture.script);
        if (bw_script_render(fixture.script, fixture.workflows[0]->steps[0].set->items[0], &(struct bw_render){0}, &out, &err))
            fail_msg("%s was not refused", expr_poisons[i]);
        assert_int_equal(err.line, 7);
        bw_buf_free(&out);
        bw_buf_free(&yaml);
        fixture_close(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_leaves_nothing_behind),
        cmocka_unit_test(test_expressions_leave_nothing_behind),
        cmocka_unit_test(test_assignments_in_expressions_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
