/* require: which module an action sees, that each attempt has it anew, and how what goes wrong with it is told. */
#include "script_fixture.h"
#include <string.h>

#define PATIENCE_US 60000000
#define SOON_US 300000
#define MODULES_MAX 8

struct file {
    const char *path, *text;
};
struct outcome {
    enum bw_task_state state;
    char text[1024]; /* the output, or "CODE FILE:LINE MESSAGE" */
};

static void tell(struct outcome *outcome, const struct bw_error *err)
{
    outcome->state = BW_TASK_FAILED;
    snprintf(outcome->text, sizeof outcome->text, "%s %s:%d %s", err->code, err->file, err->line, err->message);
}

static void run_once(struct bw_script *script, int64_t limit_us, struct outcome *outcome)
{
    struct bw_error err;
    const struct bw_task_options options = {
        .input = BW_SLICE("{}"), .idempotency_key = "k", .attempt = 1, .deadline_us = bw_clock_mono_us() + limit_us};
    struct bw_task *task = bw_task_new(script, &options, &err);
    assert_non_null(task);
    while ((outcome->state = bw_task_resume(task)) == BW_TASK_YIELDED) {
    }
    if (outcome->state == BW_TASK_DONE)
        snprintf(outcome->text, sizeof outcome->text, "%.*s", (int)bw_task_output(task).len, bw_task_output(task).ptr);
    else
        tell(outcome, &bw_task_failure(task)->error);
    bw_task_free(task);
}

/* The action of p/up.lua is `body`, inside of its run(). It runs `times` times; the last outcome counts. */
static struct outcome run_with(const struct file *files, const char *body, int64_t limit_us, int times)
{
    struct bw_module *modules[MODULES_MAX];
    struct outcome outcome = {0};
    struct bw_error err;
    struct bw_buf source = {0};
    struct fixture fixture;
    size_t count = 0;
    for (; files && files[count].path; count++) {
        if ((modules[count] = bw_module_load(fixture_loader(), bw_slice_of(files[count].text), files[count].path, &err))) continue;
        tell(&outcome, &err);
        while (count--) bw_module_free(modules[count]);
        return outcome;
    }
    bw_buf_printf(&source, "return action{name = 'p/up', version = '1.0.0', run = function(ctx, input)\n%s\nend}", body);
    struct bw_action *action = bw_action_load(fixture_loader(), bw_buf_slice(&source), "p/up.lua", modules, count, &err);
    if (action) {
        fixture_open(&fixture, "name: t\non: [{manual: true}]\nsteps: [{id: s, uses: p/up@1}]\n", (const struct bw_action *const[]){action}, "{}");
        assert_non_null(fixture.script);
        for (int i = 0; i < times; i++) run_once(fixture.script, limit_us, &outcome);
        fixture_close(&fixture);
    } else {
        tell(&outcome, &err);
    }
    bw_action_free(action);
    while (count--) bw_module_free(modules[count]);
    bw_buf_free(&source);
    return outcome;
}

static void expect(const struct file *files, const char *body, const char *expected)
{
    struct outcome outcome = run_with(files, body, PATIENCE_US, 1);
    if (strcmp(outcome.text, expected) != 0) fail_msg("%s\n  gives %s\n  not   %s", body, outcome.text, expected);
}

static void test_an_action_sees_the_modules_beside_it_and_above(void **state)
{
    (void)state;
    const struct file files[] = {{"p/lib/own.lua", "local M = {} function M.up(s) return s:upper() end return M"},
                                 {"lib/shared.lua", "return {own = require 'own', name = 'shared'}"},
                                 {"q/lib/other.lua", "return 1"},
                                 {NULL, NULL}};
    expect(files, "return {a = require('own').up('x'), b = require 'shared'.name, same = require('shared').own == require('own')}",
           "{\"a\":\"X\",\"b\":\"shared\",\"same\":true}");
    expect(files, "require 'other'", "lua.error p/up.lua:2 there is no module 'other' in p/lib/ and lib/");
    expect(files, "require 'shard'", "lua.error p/up.lua:2 there is no module 'shard' in p/lib/ and lib/ (did you mean 'shared'?)");
    expect(NULL, "require 'own'", "lua.error p/up.lua:2 there is no module 'own' in p/lib/");
    expect(files, "require '../lib/shared'", "lua.error p/up.lua:2 there is no module '../lib/shared' in p/lib/ and lib/");
    expect(files, "require(7)", "lua.error p/up.lua:2 bad argument #1 to 'require' (a module's name is wanted, a text)");
}

static void test_each_attempt_has_its_modules_anew(void **state)
{
    (void)state;
    const struct file files[] = {
        {"p/lib/count.lua", "seen = (seen or 0) + 1 local M = {n = 0} function M.more() M.n = M.n + 1 return M.n + seen end return M"}, {NULL, NULL}};
    struct outcome outcome = run_with(files, "require('count').more() return {n = require('count').more()}", PATIENCE_US, 3);
    assert_string_equal(outcome.text, "{\"n\":3}");
}

static void test_a_module_has_the_environment_of_its_action(void **state)
{
    (void)state;
    const struct file files[] = {{"p/lib/env.lua", "function from_module() return 'seen' end return {os = pcall(function() return os.time() end)}"},
                                 {NULL, NULL}};
    expect(files, "local m = require 'env' return {os = m.os, f = from_module()}", "{\"f\":\"seen\",\"os\":false}");
}

static void test_what_is_wrong_with_a_module_is_told_with_its_place(void **state)
{
    (void)state;
    const struct {
        const char *path, *text, *expected;
    } wrong[] = {
        {"p/lib/m.lua", "local x = 1\nx = = 2\nreturn x", "lua.syntax p/lib/m.lua:2 unexpected symbol near '='"},
        {"p/lib/m.lua", "\n\nerror('broken')", "lua.error p/lib/m.lua:3 broken"},
        {"p/lib/m.lua", "local M = {}\nfunction M.call() return M.x.y end\nreturn M.call()",
         "lua.error p/lib/m.lua:2 attempt to index a nil value (field 'x')"},
        {"p/lib/m.lua", "local x = 1", "lua.error p/up.lua:2 the module 'm' returns nothing; it has to end with: return M"},
        {"p/lib/m.lua", "return require 'm'", "lua.error p/lib/m.lua:1 modules require each other in a circle: m → m"},
        {"p/lib/m.lua", "io.open('x')", "lua.denied p/lib/m.lua:1 'io' is not available in Bellwire"},
        {"p/lib/m.lua", "\x1bLua", "lua.syntax p/lib/m.lua:1 unexpected symbol near '<\\27>'"},
        {"p/lib/Big.lua", "return 1",
         "module.name p/lib/Big.lua:0 the file of a module has small letters, digits and _ in its name, and ends in .lua"},
        {"p/lib/.lua", "return 1", "module.name p/lib/.lua:0 the file of a module has small letters, digits and _ in its name, and ends in .lua"},
        {"p/lib/a/m.lua", "return 1", "module.nested p/lib/a/m.lua:0 a module lies in lib/ itself, not in a folder below it"},
        {"p/lib/lib/m.lua", "return 1", "module.nested p/lib/lib/m.lua:0 a module lies in lib/ itself, not in a folder below it"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect((const struct file[]){{wrong[i].path, wrong[i].text}, {NULL, NULL}}, "return {m = require 'm'}", wrong[i].expected);
}

static void test_a_circle_is_named_and_a_failed_module_may_be_required_again(void **state)
{
    (void)state;
    const struct file files[] = {{"p/lib/a.lua", "return require 'b'"},
                                 {"p/lib/b.lua", "return require 'c'"},
                                 {"p/lib/c.lua", "return require 'b'"},
                                 {"p/lib/twice.lua", "if not ready then error 'not yet' end return 'ready'"},
                                 {NULL, NULL}};
    expect(files, "require 'a'", "lua.error p/lib/c.lua:1 modules require each other in a circle: b → c → b");
    expect(files, "local a = pcall(require, 'twice') ready = true return {a = a, b = require 'twice'}", "{\"a\":false,\"b\":\"ready\"}");
    expect(files, "pcall(require, 'a') return {c = select(2, pcall(require, 'c'))}",
           "{\"c\":\"p/lib/b.lua:1: modules require each other in a circle: c → b → c\"}");
}

static void test_a_module_is_stopped_as_its_step_is(void **state)
{
    (void)state;
    const struct file files[] = {{"p/lib/loops.lua", "while true do end"},
                                 {"p/lib/eats.lua", "local t = {} for i = 1, math.huge do t[i] = ('x'):rep(1000) .. i end"},
                                 {NULL, NULL}};
    const char *const bodies[] = {"require 'loops'", "while true do pcall(require, 'loops') end"};
    for (size_t i = 0; i < 2; i++) {
        struct outcome outcome = run_with(files, bodies[i], SOON_US, 1);
        if (strncmp(outcome.text, "lua.timeout ", 12) != 0) fail_msg("%s: %s", bodies[i], outcome.text);
    }
    struct outcome outcome = run_with(files, "pcall(require, 'eats') return {}", PATIENCE_US, 1);
    if (strncmp(outcome.text, "lua.memory ", 11) != 0) fail_msg("%s", outcome.text);
}

/* At the file's own level a module is run when the action is loaded, and again for each attempt. */
static void test_modules_work_when_the_file_is_loaded(void **state)
{
    (void)state;
    const struct file good = {"p/lib/names.lua", "return {version = '2.1.0', doc = 'from a module'}"},
                      loops = {"p/lib/names.lua", "while true do end"};
    const char source[] =
        "local names = require 'names'\nreturn action{name = 'p/up', version = names.version, doc = names.doc, run = function() end}";
    struct bw_error err;
    struct bw_module *module = bw_module_load(fixture_loader(), bw_slice_of(good.text), good.path, &err);
    struct bw_action *action = bw_action_load(fixture_loader(), bw_slice_of(source), "p/up.lua", &module, 1, &err);
    assert_non_null(action);
    assert_string_equal(action->doc, "from a module");
    assert_int_equal(action->major, 2);
    assert_true(action->requires && action->module_count == 1);
    bw_action_free(action);
    bw_module_free(module);
    module = bw_module_load(fixture_loader(), bw_slice_of(loops.text), loops.path, &err);
    assert_null(bw_action_load(fixture_loader(), bw_slice_of(source), "p/up.lua", &module, 1, &err));
    assert_string_equal(err.code, "lua.timeout");
    assert_string_equal(err.file, "p/up.lua");
    assert_null(bw_action_load(fixture_loader(), bw_slice_of(source), "q/up.lua", &module, 1, &err)); /* does not see it */
    assert_string_equal(err.message, "there is no module 'names' in q/lib/");
    bw_module_free(module);
}

static void test_who_does_not_use_it_depends_on_no_module(void **state)
{
    (void)state;
    struct bw_error err;
    struct bw_module *module = bw_module_load(fixture_loader(), BW_SLICE("return 1"), "p/lib/m.lua", &err);
    const char *const sources[] = {"return action{name = 'p/up', version = '1.0.0', inputs = {a = {required = true}}, run = function() end}",
                                   "return action{name = 'p/up', version = '1.0.0', run = function() prequire(1) require2() end}"};
    for (size_t i = 0; i < 2; i++) {
        struct bw_action *action = bw_action_load(fixture_loader(), bw_slice_of(sources[i]), "p/up.lua", &module, 1, &err);
        assert_non_null(action);
        assert_false(action->requires);
        assert_int_equal(action->module_count, 0);
        bw_action_free(action);
    }
    bw_module_free(module);
}

static void test_code_in_a_workflow_has_no_require(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    fixture_open(&fixture, "name: t\non: [{manual: true}]\nsteps: [{id: s, lua: require 'x'}]\n", NULL, "{}");
    assert_non_null(fixture.script);
    run_once(fixture.script, PATIENCE_US, &outcome);
    assert_string_equal(outcome.text, "lua.denied test.yaml:3 'require' is there in the files of actions only: see `bellwire new action`");
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_action_sees_the_modules_beside_it_and_above),
        cmocka_unit_test(test_each_attempt_has_its_modules_anew),
        cmocka_unit_test(test_a_module_has_the_environment_of_its_action),
        cmocka_unit_test(test_what_is_wrong_with_a_module_is_told_with_its_place),
        cmocka_unit_test(test_a_circle_is_named_and_a_failed_module_may_be_required_again),
        cmocka_unit_test(test_a_module_is_stopped_as_its_step_is),
        cmocka_unit_test(test_modules_work_when_the_file_is_loaded),
        cmocka_unit_test(test_who_does_not_use_it_depends_on_no_module),
        cmocka_unit_test(test_code_in_a_workflow_has_no_require),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
