/* Retry rules: who says what, which failures count, how long a wait is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workflow/retry.h"

static struct bw_retry with(const char *key, const char *json)
{
    struct bw_retry retry = bw_retry_unset;
    struct bw_error err;
    json_t *value = bw_json_load(bw_slice_of(json), &err);
    if (!bw_retry_set(&retry, key, value, &err)) fail_msg("%s: %s", key, err.message);
    json_decref(value);
    return retry;
}

static void test_each_field_comes_from_the_first_that_has_it(void **state)
{
    struct bw_retry retry = with("attempts", "3"), action = with("delay", "\"5s\"");
    const struct bw_slice codes[] = {BW_SLICE("busy")};
    (void)state;
    action.attempts = 9;
    action.on = BW_RETRY_ON_CODES;
    action.codes = codes;
    action.code_count = 1;
    bw_retry_fill(&retry, &action);
    bw_retry_fill(&retry, &bw_retry_builtin);
    assert_int_equal(retry.attempts, 3);
    assert_int_equal(retry.delay_ms, 5000);
    assert_int_equal(retry.max_delay_ms, 900000);
    assert_true(retry.factor == 5 && retry.jitter == 0.5);
    assert_int_equal(retry.on, BW_RETRY_ON_CODES);
    assert_ptr_equal(retry.codes, codes);
}

static void test_nothing_written_is_the_built_in_rule(void **state)
{
    struct bw_retry retry = bw_retry_unset;
    (void)state;
    bw_retry_fill(&retry, &bw_retry_builtin);
    assert_int_equal(retry.attempts, 6);
    assert_int_equal(retry.delay_ms, 2000);
    assert_true(retry.max_elapsed_ms == INT64_MAX);
    assert_int_equal(retry.on, BW_RETRY_ON_TRANSIENT);
}

static void test_waits_grow_up_to_the_longest(void **state)
{
    struct bw_retry retry = bw_retry_builtin;
    static const int64_t expected[] = {2000, 10000, 50000, 250000, 900000, 900000};
    (void)state;
    retry.jitter = 0;
    for (uint32_t i = 0; i < 6; i++) assert_int_equal(bw_retry_delay_ms(&retry, i + 1, -1), expected[i]);
    assert_int_equal(bw_retry_delay_ms(&retry, 100000, -1), 900000); /* no overflow, and no long loop */
    retry.delay_ms = 3600000;
    assert_int_equal(bw_retry_delay_ms(&retry, 1, -1), 3600000); /* a first wait above the longest one */
    assert_int_equal(bw_retry_delay_ms(&retry, 4, -1), 3600000);
    retry.delay_ms = 2000;
    retry.factor = 1;
    assert_int_equal(bw_retry_delay_ms(&retry, 50, -1), 2000);
    retry.delay_ms = 0;
    assert_int_equal(bw_retry_delay_ms(&retry, 3, -1), 0);
}

static void test_a_list_of_waits_is_kept_to(void **state)
{
    struct bw_retry retry = with("delay", "[\"5s\",\"5m\",\"24h\"]"), own = with("delay", "\"1s\""), few = with("attempts", "2"),
                    none = bw_retry_unset;
    static const int64_t expected[] = {5000, 300000, 86400000, 86400000, 86400000};
    (void)state;
    bw_retry_fill(&own, &retry); /* a wait of its own takes nothing of another's list: not its number either */
    bw_retry_fill(&few, &retry);
    bw_retry_fill(&none, &retry);
    bw_retry_fill(&own, &bw_retry_builtin);
    bw_retry_fill(&few, &bw_retry_builtin);
    bw_retry_fill(&none, &bw_retry_builtin);
    bw_retry_fill(&retry, &bw_retry_builtin);
    assert_int_equal(retry.attempts, 4);
    assert_int_equal(none.attempts, 4);
    assert_int_equal(few.attempts, 2);
    assert_int_equal(own.attempts, 6);
    retry.jitter = none.jitter = few.jitter = own.jitter = 0;
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(bw_retry_delay_ms(&retry, i + 1, -1), expected[i]);
        assert_int_equal(bw_retry_delay_ms(&none, i + 1, -1), expected[i]);
        assert_int_equal(bw_retry_delay_ms(&few, i + 1, -1), expected[i]);
    }
    assert_int_equal(bw_retry_delay_ms(&own, 2, -1), 5000);
    assert_int_equal(bw_retry_delay_ms(&retry, 1, 60000), 60000);
}

static void test_jitter_takes_off_and_never_adds(void **state)
{
    int64_t least = INT64_MAX, most = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        int64_t delay = bw_retry_delay_ms(&bw_retry_builtin, 1, -1);
        if (delay < least) least = delay;
        if (delay > most) most = delay;
    }
    assert_in_range(least, 1000, 1100);
    assert_in_range(most, 1900, 2000);
}

static void test_what_the_other_side_asks_for_is_the_minimum_up_to_an_hour(void **state)
{
    (void)state;
    assert_int_equal(bw_retry_delay_ms(&bw_retry_builtin, 1, 30000), 30000);
    assert_int_equal(bw_retry_delay_ms(&bw_retry_builtin, 1, 7200000), 3600000);
    assert_in_range(bw_retry_delay_ms(&bw_retry_builtin, 5, 0), 450000, 900000); /* "at once" is no reason to hurry */
    assert_in_range(bw_retry_delay_ms(&bw_retry_builtin, 2, 1), 5000, 10000);
}

static void test_which_failures_are_tried_again(void **state)
{
    struct bw_retry retry = bw_retry_builtin;
    const struct bw_slice codes[] = {BW_SLICE("http.status"), BW_SLICE("busy")};
    (void)state;
    assert_true(bw_retry_matches(&retry, true, BW_SLICE("http.network")));
    assert_false(bw_retry_matches(&retry, false, BW_SLICE("http.status")));
    retry.on = BW_RETRY_ON_ANY;
    assert_true(bw_retry_matches(&retry, false, BW_SLICE("lua.error")));
    retry.on = BW_RETRY_ON_CODES;
    retry.codes = codes;
    retry.code_count = 2;
    assert_true(bw_retry_matches(&retry, false, BW_SLICE("busy")));
    assert_false(bw_retry_matches(&retry, true, BW_SLICE("busy.not"))); /* codes replace the default, also for what may pass */
}

static void test_unknown_fields_and_values_are_refused(void **state)
{
    static const char *const wrong[][2] = {{"attempts", "0"},  {"attempts", "1.5"},       {"attempts", "true"}, {"delay", "2"},
                                           {"delay", "\"x\""}, {"factor", "0.9"},         {"factor", "null"},   {"jitter", "-0.1"},
                                           {"jitter", "1.1"},  {"max_elapsed", "\"0s\""}, {"atempts", "3"},     {"on", "\"any\""}};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct bw_retry retry = bw_retry_unset;
        struct bw_error err = {0};
        json_t *value = bw_json_load(bw_slice_of(wrong[i][1]), &err);
        if (bw_retry_set(&retry, wrong[i][0], value, &err)) fail_msg("%s: %s was taken", wrong[i][0], wrong[i][1]);
        assert_int_equal(strncmp(err.code, "retry.", 6), 0);
        json_decref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_field_comes_from_the_first_that_has_it),
        cmocka_unit_test(test_nothing_written_is_the_built_in_rule),
        cmocka_unit_test(test_waits_grow_up_to_the_longest),
        cmocka_unit_test(test_a_list_of_waits_is_kept_to),
        cmocka_unit_test(test_jitter_takes_off_and_never_adds),
        cmocka_unit_test(test_what_the_other_side_asks_for_is_the_minimum_up_to_an_hour),
        cmocka_unit_test(test_which_failures_are_tried_again),
        cmocka_unit_test(test_unknown_fields_and_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
