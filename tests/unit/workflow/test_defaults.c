/* What a workflow does not say. These numbers are promises: who relies on one has written nothing. */
#include "workflow_fixture.h"

#define MINUTE 60000LL
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const char text[] = "name: t\n"
                           "on: [{event: a.b}, {schedule: '@daily'}]\n"
                           "rate: {limit: 5/1h}\n"
                           "concurrency: {}\n"
                           "collect: {quiet: 1m}\n"
                           "steps:\n"
                           "  - {id: call, uses: x/y@1, repeat: {until: result.done}}\n"
                           "  - {id: fan, foreach: [1], steps: [{id: one, set: {}}]}\n"
                           "  - {id: paid, wait: {event: a.c}}\n"
                           "  - {id: ask, approve: {message: go?}}\n"
                           "  - {id: more, uses: workflow/other}\n"
                           "  - {id: over, stop: {}}\n";

static void test_of_a_workflow(void **state)
{
    (void)state;
    struct loaded loaded = load_text(text);
    const struct bw_workflow *workflow = only(&loaded);
    assert_int_equal(workflow->timeout_ms ? workflow->timeout_ms : BW_WORKFLOW_TIMEOUT_MS, 30 * DAY);
    assert_false(workflow->fail_fast);
    assert_true(workflow->undoes_failed && !workflow->undoes_cancelled); /* undo_on: [failure] */
    assert_int_equal(workflow->pool.len, 0);
    assert_int_equal(workflow->respond_ms, 0); /* mode: ack */
    assert_int_equal(workflow->delay_ms + workflow->start_within_ms + workflow->priority_s, 0);
    assert_true(workflow->keep_ok_ms == BW_AGE_UNSET && workflow->keep_failed_ms == BW_AGE_UNSET); /* those of the instance */
    unload(&loaded);
}

static void test_of_what_lets_its_runs_begin(void **state)
{
    (void)state;
    struct loaded loaded = load_text(text);
    const struct bw_workflow *workflow = only(&loaded);
    const struct bw_concurrency *concurrency = &workflow->concurrency;
    assert_int_equal(workflow->rate.burst, 1);
    assert_true(!workflow->rate.skips && !workflow->rate.key); /* over: delay */
    assert_int_equal(concurrency->limit, 1);
    assert_int_equal(concurrency->when_full, BW_TAKEN_QUEUE);
    assert_int_equal(concurrency->max_queue, 10000);
    assert_true(concurrency->holds_parked && !concurrency->holds_failed); /* hold: run, on_failed: continue */
    assert_true(!concurrency->key && !concurrency->scope.len);
    assert_int_equal(workflow->collect.max_events, 100);
    assert_int_equal(workflow->collect.max_wait_ms, 0);
    unload(&loaded);
}

static void test_of_a_schedule(void **state)
{
    (void)state;
    struct loaded loaded = load_text(text);
    const struct bw_trigger *trigger = &only(&loaded)->triggers[1];
    assert_slice(trigger->zone, "UTC");
    assert_int_equal(trigger->missed, BW_MISSED_LATEST);
    assert_int_equal(trigger->max_age_ms, 24 * HOUR);
    unload(&loaded);
}

static void test_of_its_steps(void **state)
{
    (void)state;
    struct loaded loaded = load_text(text);
    const struct bw_step *call = &only(&loaded)->steps[0], *fan = call + 1, *paid = call + 3, *ask = call + 4, *more = call + 5, *over = call + 6;
    assert_int_equal(call->repeat.every_ms, 30000);
    assert_int_equal(call->repeat.max, 100);
    assert_true(!call->is_once && !call->is_sensitive && !call->goes_on && call->effect == BW_EFFECT_UNSET); /* at_least_once, on_error: fail */
    assert_int_equal(call->timeout_ms + call->heartbeat_ms, 0);                                              /* the action's */
    assert_int_equal(call->retry.attempts, -1);
    assert_int_equal(fan->concurrency, 10);
    assert_true(fan->tolerate == 0 && fan->tolerate_percent == 0 && fan->key == -1);
    assert_slice(fan->as, "item");
    assert_int_equal(paid->since_ms, -1); /* run */
    assert_int_equal(paid->wait_ms, 0);   /* as long as the run may take */
    assert_true(paid->ends_well);
    assert_int_equal(ask->votes_needed, 1);
    assert_int_equal(ask->wait_ms, 7 * DAY);
    assert_int_equal(ask->choice_in_time, -1); /* on_timeout: fail */
    assert_false(more->is_detached);
    assert_int_equal(over->stop, BW_STOP_SUCCEEDED);
    unload(&loaded);
}

static void test_of_a_sender_who_waits(void **state)
{
    (void)state;
    struct loaded loaded = load_text("name: t\non: [{event: a.b}]\nrespond: {mode: result}\nsteps: [{id: a, respond: {}}]\n");
    assert_int_equal(only(&loaded)->respond_ms, 10000);
    unload(&loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_a_workflow), cmocka_unit_test(test_of_what_lets_its_runs_begin), cmocka_unit_test(test_of_a_schedule),
        cmocka_unit_test(test_of_its_steps),  cmocka_unit_test(test_of_a_sender_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
