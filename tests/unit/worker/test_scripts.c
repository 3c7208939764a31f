/* Lua states: one is made at first use, kept for the next, and freed when nobody has needed it for a while. A run that waits needs none, and the code
 * of a bundled plugin shares them. */
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
    struct bw_package packages[2];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->worker.base = event_base_new();
    fixture->worker.limits = (struct bw_script_limits){.memory_bytes = 32 << 20, .expr_instructions = 100000, .slice_us = 2000};
    TAILQ_INIT(&fixture->worker.runs);
    assert_true(bw_scripts_open(&fixture->worker) && bw_suspend_open(&fixture->worker));
    for (size_t i = 0; i < 2; i++) {
        struct bw_errors errs = {0};
        struct bw_workflow **loaded;
        static const char *const yaml[] = {"name: a\non: [{event: e}]\nsteps: [{id: s, set: {x: '${{ event.data }}'}}]\n",
                                           "name: b\non: [{event: e}]\nsteps: [{id: s, set: {x: '${{ event.data }}'}}]\n"};
        assert_int_equal(bw_workflow_load(bw_slice_of(yaml[i]), "w.yaml", &loaded, &errs), 1);
        fixture->entries[i].workflow = loaded[0];
        fixture->entries[i].own_actions = calloc(loaded[0]->step_count + 1, sizeof(void *));
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
        free(fixture->entries[i].own_actions);
        bw_workflow_free(fixture->entries[i].workflow);
    }
    for (size_t i = 0; i < 2; i++) bw_shared_scripts_drop(&fixture->worker, &fixture->packages[i]);
    event_free(fixture->worker.sweep_event);
    event_free(fixture->worker.suspend_event);
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

/* ---- runs that wait ---- */

static void begin(struct bw_run *run, struct bw_worker_event *event, struct bw_catalog_workflow *entry, const char *body)
{
    const struct bw_run_scope scope = {.event_body = bw_slice_of(body), .body_is_json = true};
    struct bw_error err;
    *run = (struct bw_run){.event = event, .entry = entry, .results = calloc(2, sizeof *run->results)};
    assert_true(bw_run_begin_script(run, &scope, &err));
}

static void end(struct bw_run *run)
{
    bw_run_end_script(run);
    free(run->results);
}

static void end_turn(struct fixture *fixture)
{
    event_base_loop(fixture->worker.base, EVLOOP_NONBLOCK);
}

static void assert_sees(struct bw_run *run, const char *expected)
{
    struct bw_buf out = {0};
    struct bw_error err;
    assert_true(bw_script_render(bw_run_script(run), run->entry->workflow->steps[0].set, &(struct bw_render){0}, &out, &err));
    assert_string_equal(out.data, expected);
    bw_buf_free(&out);
}

static void test_runs_that_wait_have_no_state_and_go_on_with_any(void **state)
{
    struct fixture *fixture = *state;
    struct bw_worker_event event = {.worker = &fixture->worker};
    struct bw_run runs[3];
    for (size_t i = 0; i < 3; i++) {
        begin(&runs[i], &event, &fixture->entries[0], (const char *const[]){"\"a\"", "\"b\"", "\"c\""}[i]);
        assert_non_null(runs[i].script); /* for as long as the turn goes on */
        end_turn(fixture);
        assert_null(runs[i].script);
        assert_int_equal(fixture->entries[0].idle_count, 1); /* one serves all of them */
    }
    assert_sees(&runs[2], "{\"x\":\"c\"}");
    assert_sees(&runs[0], "{\"x\":\"a\"}"); /* in the same turn: another one is made */
    assert_ptr_not_equal(runs[0].script, runs[2].script);
    end_turn(fixture);
    assert_int_equal(fixture->entries[0].idle_count, 2);
    end(&runs[1]); /* without having gone on */
    assert_sees(&runs[0], "{\"x\":\"a\"}");
    end(&runs[0]); /* in the turn in which it had one */
    end_turn(fixture);
    assert_sees(&runs[2], "{\"x\":\"c\"}");
    end(&runs[2]);
    assert_int_equal(fixture->entries[0].idle_count, 2);
}

static void test_many_runs_in_one_turn_make_no_more_states_than_are_kept(void **state)
{
    enum { RUNS = 3 * BW_SCRIPTS_A_TURN };
    struct fixture *fixture = *state;
    struct bw_worker_event event = {.worker = &fixture->worker};
    struct bw_run runs[RUNS];
    size_t with = 0;
    for (size_t i = 0; i < RUNS; i++) begin(&runs[i], &event, &fixture->entries[0], "1");
    for (size_t i = 0; i < RUNS; i++) with += runs[i].script != NULL;
    assert_int_equal(with, BW_SCRIPTS_A_TURN);
    assert_null(runs[0].script);
    assert_non_null(runs[RUNS - 1].script);
    bw_run_script_is_used(&runs[RUNS - 1]); /* a task keeps its own, however many come behind it */
    for (size_t i = 0; i < RUNS - 1; i++) assert_sees(&runs[i], "{\"x\":1}");
    assert_non_null(runs[RUNS - 1].script);
    bw_run_script_is_left(&runs[RUNS - 1]);
    end_turn(fixture);
    assert_int_equal(fixture->entries[0].idle_count, BW_SCRIPTS_IDLE_MAX);
    for (size_t i = 0; i < RUNS; i++) end(&runs[i]);
}

static void test_a_task_keeps_the_state_of_its_run(void **state)
{
    struct fixture *fixture = *state;
    struct bw_worker_event event = {.worker = &fixture->worker};
    struct bw_run run;
    begin(&run, &event, &fixture->entries[0], "1");
    struct bw_script *script = run.script;
    bw_run_script_is_used(&run);
    bw_run_script_is_used(&run);
    end_turn(fixture);
    assert_ptr_equal(run.script, script);
    bw_run_script_is_left(&run);
    end_turn(fixture);
    assert_ptr_equal(run.script, script);
    bw_run_script_is_left(&run);
    assert_ptr_equal(run.script, script); /* its result is about to be looked at */
    end_turn(fixture);
    assert_null(run.script);
    end(&run);
}

/* ---- states of plugins ---- */

static struct bw_shared_script *join(struct fixture *fixture, size_t package)
{
    struct bw_error err;
    struct bw_shared_script *shared = bw_shared_script_join(&fixture->worker, &fixture->packages[package], &err);
    assert_non_null(shared);
    return shared;
}

static void test_so_many_share_a_state_and_those_of_another_plugin_never_do(void **state)
{
    struct fixture *fixture = *state;
    struct bw_shared_script *first[BW_SHARED_SCRIPT_TASKS], *second, *other;
    for (size_t i = 0; i < BW_SHARED_SCRIPT_TASKS; i++) {
        first[i] = join(fixture, 0);
        assert_ptr_equal(first[i], first[0]);
    }
    second = join(fixture, 0);
    other = join(fixture, 1);
    assert_ptr_not_equal(second, first[0]);
    assert_ptr_not_equal(other, second);
    bw_shared_script_leave(first[0]);
    bw_shared_script_leave(second);
    assert_ptr_equal(join(fixture, 0), first[0]); /* what was full a moment ago goes before what is nearly empty, and may be freed soon */
    for (size_t i = 0; i < BW_SHARED_SCRIPT_TASKS; i++) bw_shared_script_leave(first[i]);
    bw_shared_script_leave(other);
    bw_shared_script_leave(NULL);
}

static void test_shared_states_that_nobody_uses_are_freed_and_those_in_use_are_not(void **state)
{
    struct fixture *fixture = *state;
    const int64_t later = bw_clock_mono_us() + BW_SCRIPT_IDLE_MS * 1000LL + 1000000;
    struct bw_shared_script *busy = join(fixture, 0), *idle = join(fixture, 1);
    bw_shared_script_leave(idle);
    assert_true(evtimer_pending(fixture->worker.sweep_event, NULL));
    evtimer_del(fixture->worker.sweep_event);
    bw_scripts_sweep(&fixture->worker, bw_clock_mono_us());
    assert_true(evtimer_pending(fixture->worker.sweep_event, NULL)); /* it is idle, but not for long */
    evtimer_del(fixture->worker.sweep_event);
    bw_scripts_sweep(&fixture->worker, later);
    assert_ptr_equal(TAILQ_FIRST(&fixture->worker.shared_scripts), busy);
    assert_false(evtimer_pending(fixture->worker.sweep_event, NULL));
    bw_shared_script_leave(busy);
    bw_shared_scripts_drop(&fixture->worker, &fixture->packages[0]); /* its catalogue goes */
    assert_true(TAILQ_EMPTY(&fixture->worker.shared_scripts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_next_run_has_the_state_of_the_last_one_and_no_other_workflow_has_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_than_a_workflow_needs_are_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_nobody_needed_for_long_is_freed_and_made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_state_that_is_used_again_is_young_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_runs_that_wait_have_no_state_and_go_on_with_any, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_runs_in_one_turn_make_no_more_states_than_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_task_keeps_the_state_of_its_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_so_many_share_a_state_and_those_of_another_plugin_never_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shared_states_that_nobody_uses_are_freed_and_those_in_use_are_not, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
