/* States that serve several runs: at once, the code of a plugin's actions; one after the other, runs that wait without one. */
#include "script_fixture.h"
#include <string.h>

#define PATIENCE_US 60000000
#define MODULE "lib/text.lua"

struct plugin {
    struct bw_module *module;
    struct bw_action *action;
    struct bw_script *script;
};

static void plugin_open(struct plugin *plugin, const char *module, const char *source)
{
    struct bw_error err;
    *plugin = (struct plugin){0};
    plugin->module = bw_module_load(fixture_loader(), bw_slice_of(module), MODULE, &err);
    assert_non_null(plugin->module);
    plugin->action = bw_action_load(fixture_loader(), bw_slice_of(source), "act.lua", &plugin->module, 1, &err);
    if (!plugin->action) fail_msg("%s", err.message);
    plugin->script = bw_script_new_shared(&fixture_limits, &err);
    assert_non_null(plugin->script);
}

static void plugin_close(struct plugin *plugin)
{
    bw_script_free(plugin->script);
    bw_action_free(plugin->action);
    bw_module_free(plugin->module);
}

static struct bw_task *begin(const struct plugin *plugin, const char *input, int64_t limit_us, struct bw_error *err)
{
    const struct bw_task_options options = {
        .action = plugin->action, .input = bw_slice_of(input), .idempotency_key = input, .attempt = 1, .deadline_us = bw_clock_mono_us() + limit_us};
    return bw_task_new(plugin->script, &options, err);
}

static struct bw_task *begin_well(const struct plugin *plugin, const char *input)
{
    struct bw_error err;
    struct bw_task *task = begin(plugin, input, PATIENCE_US, &err);
    if (!task) fail_msg("%s", err.message);
    return task;
}

static enum bw_task_state resume(struct bw_task *task)
{
    enum bw_task_state state;
    while ((state = bw_task_resume(task)) == BW_TASK_YIELDED) {
    }
    return state;
}

static void assert_output(const struct bw_task *task, const char *expected)
{
    struct bw_slice output = bw_task_output(task);
    if (!bw_slice_is(output, expected)) fail_msg("%.*s, not %s", (int)output.len, output.ptr, expected);
}

#define WAITING                                                                             \
    "local text = require 'text'\n"                                                         \
    "return action{name = 'a/b', version = '1.0.0', run = function(ctx, input)\n"           \
    "  local seen = text.seen()\n"                                                          \
    "  ctx.sleep(1)\n"                                                                      \
    "  return {n = input.n, key = ctx.idempotency_key, seen = seen, config = ctx.config}\n" \
    "end}"
#define COUNTING                                                  \
    "local M, made = {}, {}\n"                                    \
    "made[1] = true\n"                                            \
    "function M.seen() made[#made + 1] = true return #made end\n" \
    "return M"

static void test_attempts_side_by_side_have_their_own_input_and_one_copy_of_the_code(void **state)
{
    (void)state;
    struct plugin plugin;
    struct bw_task *tasks[3];
    char input[32], output[96];
    plugin_open(&plugin, COUNTING, WAITING);
    for (int i = 0; i < 3; i++) {
        snprintf(input, sizeof input, "{\"n\":%d}", i);
        tasks[i] = begin_well(&plugin, input);
        assert_int_equal(resume(tasks[i]), BW_TASK_WAITS);
    }
    for (int i = 2; i >= 0; i--) {
        bw_task_answer(tasks[i], NULL);
        assert_int_equal(resume(tasks[i]), BW_TASK_DONE);
        snprintf(output, sizeof output, "{\"key\":\"{\\\"n\\\":%d}\",\"n\":%d,\"seen\":%d}", i, i, i + 2); /* the module was executed once */
        assert_output(tasks[i], output);
        bw_task_free(tasks[i]);
    }
    assert_false(bw_script_is_spent(plugin.script));
    plugin_close(&plugin);
}

static void test_a_second_attempt_takes_less_memory_than_the_code(void **state)
{
    (void)state;
    struct plugin plugin;
    struct bw_task *tasks[2];
    size_t used[3];
    plugin_open(&plugin, COUNTING, WAITING);
    used[0] = bw_script_memory(plugin.script);
    for (int i = 0; i < 2; i++) {
        tasks[i] = begin_well(&plugin, "{\"n\":1}");
        resume(tasks[i]);
        used[i + 1] = bw_script_memory(plugin.script);
    }
    assert_true(used[2] - used[1] < (used[1] - used[0]) / 2);
    for (int i = 0; i < 2; i++) bw_task_free(tasks[i]);
    plugin_close(&plugin);
}

static void test_one_that_takes_all_the_memory_there_is_leaves_the_others_theirs(void **state)
{
    (void)state;
    struct plugin plugin;
    plugin_open(&plugin, "return {}",
                "return action{name = 'a/b', version = '1.0.0', run = function(ctx, input)\n"
                "  local kept = {}\n"
                "  for i = 1, input.mib do kept[i] = ('x'):rep(2^20 - i) if i % 4 == 0 then ctx.sleep(1) end end\n"
                "  return {mib = #kept}\n"
                "end}");
    struct bw_task *small[3], *large;
    for (int i = 0; i < 3; i++) assert_int_equal(resume(small[i] = begin_well(&plugin, "{\"mib\":6}")), BW_TASK_WAITS); /* 4 MiB each of 16 */
    large = begin_well(&plugin, "{\"mib\":100}");
    enum bw_task_state ended;
    int waits = 0;
    while ((ended = resume(large)) == BW_TASK_WAITS) waits++;
    assert_int_equal(ended, BW_TASK_FAILED);
    assert_string_equal(bw_task_failure(large)->error.code, "lua.memory");
    assert_non_null(strstr(bw_task_failure(large)->error.message, "16384 KiB"));
    assert_int_equal(waits, 3); /* 12 MiB were its own: not less because of the others */
    assert_true(bw_script_is_spent(plugin.script));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(resume(small[i]), BW_TASK_DONE);
        assert_output(small[i], "{\"mib\":6}");
        bw_task_free(small[i]);
    }
    bw_task_free(large);
    plugin_close(&plugin);
}

static void test_the_end_of_ones_time_is_not_that_of_another(void **state)
{
    (void)state;
    struct plugin plugin;
    struct bw_error err;
    plugin_open(&plugin, "return {}",
                "return action{name = 'a/b', version = '1.0.0', run = function(ctx, input)\n"
                "  ctx.sleep(1)\n"
                "  while input.loops do end\n"
                "  return {}\n"
                "end}");
    struct bw_task *patient = begin_well(&plugin, "{}"), *late = begin(&plugin, "{\"loops\":true}", 20000, &err);
    assert_int_equal(resume(patient), BW_TASK_WAITS);
    assert_int_equal(resume(late), BW_TASK_WAITS);
    assert_int_equal(resume(late), BW_TASK_FAILED);
    assert_int_equal(bw_task_failure(late)->class, BW_FAILURE_TIMEOUT);
    assert_int_equal(resume(patient), BW_TASK_DONE);
    bw_task_free(patient);
    bw_task_free(late);
    plugin_close(&plugin);
}

static void test_a_file_that_cannot_be_executed_fails_each_attempt_in_the_same_way(void **state)
{
    (void)state;
    struct plugin plugin;
    struct bw_error err;
    plugin_open(&plugin, "local M = {} if not string then return M end error('no good') return M",
                "return action{name = 'a/b', version = '1.0.0', run = function(ctx, input) return {t = require 'text'} end}");
    for (int i = 0; i < 2; i++) {
        struct bw_task *task = begin_well(&plugin, "{}");
        assert_int_equal(resume(task), BW_TASK_FAILED);
        assert_non_null(strstr(bw_task_failure(task)->error.message, "no good"));
        assert_string_equal(bw_task_failure(task)->error.file, MODULE);
        bw_task_free(task);
    }
    plugin_close(&plugin);
    plugin_open(&plugin, "return {}", "return action{name = 'a/b', version = '1.0.0', run = function() return {} end}");
    struct bw_slice good = plugin.action->source, bad = BW_SLICE("error('not now')");
    plugin.action->source = bad;
    for (int i = 0; i < 2; i++) {
        assert_null(begin(&plugin, "{}", PATIENCE_US, &err));
        assert_non_null(strstr(err.message, "not now"));
    }
    plugin.action->source = good;
    struct bw_task *task = begin_well(&plugin, "{}");
    assert_int_equal(resume(task), BW_TASK_DONE);
    bw_task_free(task);
    plugin_close(&plugin);
}

/* ---- one after the other ---- */

#define TWO_STEPS                                                                                  \
    "name: t\non: [{event: e}]\ninputs: {who: {type: string}}\nsteps:\n  - {id: a, set: {x: 1}}\n" \
    "  - {id: b, set: {x: '${{ steps.a.x }}', n: '${{ event.data.n }}', who: '${{ inputs.who }}', ok: '${{ ok(\"a\") }}'}}\n"

static void render(struct fixture *fixture, struct bw_script *script, const char *expected)
{
    struct bw_buf out = {0};
    struct bw_error err;
    if (!bw_script_render(script, fixture->workflows[0]->steps[1].set, &(struct bw_render){0}, &out, &err)) fail_msg("%s", err.message);
    assert_string_equal(out.data, expected);
    bw_buf_free(&out);
}

static void test_a_run_goes_on_in_another_state_with_what_it_had(void **state)
{
    (void)state;
    struct fixture fixture;
    struct bw_error err;
    fixture_open(&fixture, TWO_STEPS, NULL, "{\"n\":7}");
    assert_true(bw_script_set_step(fixture.script, 0, BW_STATUS_SUCCEEDED, BW_SLICE("{\"x\":5}"), (struct bw_slice){0}, &err));
    bw_script_set_names(fixture.script, BW_SLICE("{\"who\":\"ada\"}"), (struct bw_slice){0});
    render(&fixture, fixture.script, "{\"x\":5,\"n\":7,\"who\":\"ada\",\"ok\":true}");
    struct bw_suspended_run first, again;
    bw_script_suspend_run(fixture.script, &first);

    const struct bw_run_scope scope = {.event_body = BW_SLICE("{\"n\":8}"), .body_is_json = true, .run_id = BW_SLICE("run_2")};
    bw_script_begin_run(fixture.script, &scope); /* another run finds nothing of the first one */
    render(&fixture, fixture.script, "{\"n\":8,\"ok\":false}");
    assert_true(bw_script_set_step(fixture.script, 0, BW_STATUS_FAILED, (struct bw_slice){0}, BW_SLICE("{\"code\":\"x\"}"), &err));

    struct bw_script *other = bw_script_new(fixture.workflows[0], NULL, &fixture_limits, &fixture.errs);
    bw_script_resume_run(other, &first);
    render(&fixture, other, "{\"x\":5,\"n\":7,\"who\":\"ada\",\"ok\":true}");
    bw_script_suspend_run(other, &again);
    bw_script_end_run(fixture.script);
    bw_script_resume_run(fixture.script, &again);
    render(&fixture, fixture.script, "{\"x\":5,\"n\":7,\"who\":\"ada\",\"ok\":true}");
    bw_script_free(other);
    bw_script_suspend_run(fixture.script, &again);
    bw_suspended_run_free(&again); /* it ends while it waits */
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts_side_by_side_have_their_own_input_and_one_copy_of_the_code),
        cmocka_unit_test(test_a_second_attempt_takes_less_memory_than_the_code),
        cmocka_unit_test(test_one_that_takes_all_the_memory_there_is_leaves_the_others_theirs),
        cmocka_unit_test(test_the_end_of_ones_time_is_not_that_of_another),
        cmocka_unit_test(test_a_file_that_cannot_be_executed_fails_each_attempt_in_the_same_way),
        cmocka_unit_test(test_a_run_goes_on_in_another_state_with_what_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
