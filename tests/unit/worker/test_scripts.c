/* Lua states: one is made at first use, kept for the next, and freed when nobody has needed it for a while. */
#include "base/clock.h"
#include "worker/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

struct fixture {
    struct bw_worker worker;
    struct bw_catalog_workflow entries[2];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->worker.base = event_base_new();
    fixture->worker.limits = (struct bw_script_limits){.memory_bytes = 32 << 20, .expr_instructions = 100000, .slice_us = 2000};
    assert_true(bw_scripts_open(&fixture->worker));
    for (size_t i = 0; i < 2; i++) {
        struct bw_errors errs = {0};
        struct bw_workflow **loaded;
        static const char *const yaml[] = {"name: a\non: [{event: e}]\nsteps: [{id: s, set: {x: '${{ event.data }}'}}]\n",
                                           "name: b\non: [{event: e}]\nsteps: [{id: s, set: {x: '${{ event.data }}'}}]\n"};
        assert_int_equal(bw_workflow_load(bw_slice_of(yaml[i]), "w.yaml", &loaded, &errs), 1);
        fixture->entries[i].workflow = loaded[0];
        fixture->entries[i].lua_actions = calloc(loaded[0]->step_count + 1, sizeof(void *));
        free(loaded);
        bw_errors_free(&errs);
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        bw_scripts_drop(&fixture->worker, &fixture->entries[i]);
        free(fixture->entries[i].lua_actions);
        bw_workflow_free(fixture->entries[i].workflow);
    }
    event_free(fixture->worker.sweep_event);
    event_base_free(fixture->worker.base);
    free(fixture);
    return 0;
}

static struct bw_script *take(struct fixture *fixture, size_t entry)
{
    struct bw_error err;
    struct bw_script *script = bw_scripts_take(&fixture->worker, &fixture->entries[entry], &err);
    assert_non_null(script);
    return script;
}

static void test_the_next_run_has_the_state_of_the_last_one_and_no_other_workflow_has_it(void **state)
{
    struct fixture *fixture = *state;
    struct bw_script *first = take(fixture, 0), *second = take(fixture, 0);
    assert_ptr_not_equal(first, second);
    bw_scripts_return(&fixture->worker, &fixture->entries[0], first);
    bw_scripts_return(&fixture->worker, &fixture->entries[0], second);
    assert_int_equal(fixture->entries[0].idle_count, 2);
    struct bw_script *other = take(fixture, 1);
    assert_ptr_not_equal(other, first);
    assert_ptr_not_equal(other, second);
    assert_int_equal(fixture->entries[0].idle_count, 2);
    assert_ptr_equal(take(fixture, 0), second); /* the one that was used last: the others grow old */
    bw_scripts_return(&fixture->worker, &fixture->entries[0], second);
    bw_scripts_return(&fixture->worker, &fixture->entries[1], other);
}

static void test_more_than_a_workflow_needs_are_not_kept(void **state)
{
    struct fixture *fixture = *state;
    struct bw_script *scripts[BW_SCRIPTS_IDLE_MAX + 3];
    for (size_t i = 0; i < BW_SCRIPTS_IDLE_MAX + 3; i++) scripts[i] = take(fixture, 0);
    for (size_t i = 0; i < BW_SCRIPTS_IDLE_MAX + 3; i++) bw_scripts_return(&fixture->worker, &fixture->entries[0], scripts[i]);
    assert_int_equal(fixture->entries[0].idle_count, BW_SCRIPTS_IDLE_MAX);
}

static void test_what_nobody_needed_for_long_is_freed_and_made_again(void **state)
{
    struct fixture *fixture = *state;
    const int64_t idle_us = BW_SCRIPT_IDLE_MS * 1000LL, now = bw_clock_mono_us();
    bw_scripts_return(&fixture->worker, &fixture->entries[0], take(fixture, 0));
    bw_scripts_return(&fixture->worker, &fixture->entries[1], take(fixture, 1));
    bw_scripts_sweep(&fixture->worker, now + idle_us - 1);
    assert_int_equal(fixture->entries[0].idle_count, 1);
    assert_true(evtimer_pending(fixture->worker.sweep_event, NULL));
    struct bw_script *busy = take(fixture, 1);
    evtimer_del(fixture->worker.sweep_event);
    bw_scripts_sweep(&fixture->worker, bw_clock_mono_us() + idle_us);
    assert_int_equal(fixture->entries[0].idle_count, 0);
    assert_true(TAILQ_EMPTY(&fixture->worker.idle_scripts));
    assert_false(evtimer_pending(fixture->worker.sweep_event, NULL)); /* nothing is idle: nothing wakes the process */
    bw_scripts_return(&fixture->worker, &fixture->entries[1], busy);  /* what is in use is nobody's but its run's */
    assert_int_equal(fixture->entries[1].idle_count, 1);
    bw_scripts_return(&fixture->worker, &fixture->entries[0], take(fixture, 0));
    assert_int_equal(fixture->entries[0].idle_count, 1);
}

static void test_a_state_that_is_used_again_is_young_again(void **state)
{
    struct fixture *fixture = *state;
    bw_scripts_return(&fixture->worker, &fixture->entries[0], take(fixture, 0));
    bw_scripts_return(&fixture->worker, &fixture->entries[1], take(fixture, 1));
    bw_scripts_return(&fixture->worker, &fixture->entries[0], take(fixture, 0));
    struct bw_catalog_workflow *oldest = &fixture->entries[1];
    bw_scripts_drop(&fixture->worker, oldest); /* from the front of the list, too */
    bw_scripts_sweep(&fixture->worker, bw_clock_mono_us());
    assert_int_equal(fixture->entries[0].idle_count, 1);
    assert_int_equal(oldest->idle_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_next_run_has_the_state_of_the_last_one_and_no_other_workflow_has_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_than_a_workflow_needs_are_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_nobody_needed_for_long_is_freed_and_made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_state_that_is_used_again_is_young_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
