/* What fits what is expected, and where it is told what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trial/trial.h"
#include <string.h>

static struct bw_trial_result match(const char *yaml, const char *json)
{
    struct bw_trial_result result = {0};
    struct bw_error err;
    struct bw_yaml *expected = bw_yaml_load(bw_slice_of(yaml), "t.yaml", NULL, &err);
    json_t *got = json ? bw_json_load(bw_slice_of(json), &err) : NULL;
    assert_non_null(expected);
    if (json) assert_non_null(got);
    bw_trial_match(bw_yaml_root(expected, 0), got, "it", &result);
    json_decref(got);
    bw_yaml_free(expected);
    return result;
}

static void test_what_fits(void **state)
{
    static const char *const pairs[][2] = {
        {"{a: 1}", "{\"a\":1,\"b\":2}"},
        {"{a: {b: [1, x]}}", "{\"a\":{\"b\":[1,\"x\"],\"c\":0}}"},
        {"2", "2.0"},
        {"2.5", "2.5"},
        {"{a: null}", "{}"},
        {"{a: null}", "{\"a\":null}"},
        {"[]", "{}"},
        {"{}", "[]"},
        {"[{a: 1}]", "[{\"a\":1,\"b\":2}]"},
        {"yes", "\"yes\""},
        {"true", "true"},
        {"~", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct bw_trial_result result = match(pairs[i][0], pairs[i][1]);
        if (result.count) fail_msg("%s should fit %s", pairs[i][0], pairs[i][1]);
    }
}

static void test_what_does_not_fit(void **state)
{
    static const char *const pairs[][2] = {
        {"{a: 1}", "{}"},    {"1", "\"1\""}, {"\"1\"", "1"}, {"[1]", "[1,2]"}, {"[1, 2]", "[2,1]"}, {"{a: 1}", "[1]"}, {"true", "1"},
        {"[]", "{\"a\":1}"}, {"{}", "[1]"},  {"2", "2.5"},   {"~", "0"},       {"{}", NULL},        {"x", NULL},       {"[{a: 1}]", "[{}]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct bw_trial_result result = match(pairs[i][0], pairs[i][1]);
        if (!result.count) fail_msg("%s must not fit %s", pairs[i][0], pairs[i][1] ? pairs[i][1] : "nothing");
    }
}

static void test_each_leaf_is_told_with_its_place(void **state)
{
    struct bw_trial_result result = match("a:\n  b: 1\n  c: [x, y]\n", "{\"a\":{\"b\":2,\"c\":[\"x\",\"z\"]}}");
    (void)state;
    assert_int_equal(result.count, 2);
    assert_string_equal(result.mismatches[0].what, "it.a.b");
    assert_string_equal(result.mismatches[0].expected, "1");
    assert_string_equal(result.mismatches[0].got, "2");
    assert_int_equal(result.mismatches[0].line, 2);
    assert_string_equal(result.mismatches[1].what, "it.a.c[2]");
    assert_int_equal(result.mismatches[1].line, 3);
    assert_int_equal(result.mismatches[1].column, 10);
}

static void test_too_many_are_counted_and_long_ones_cut(void **state)
{
    char yaml[4000] = "[", json[4000] = "[";
    (void)state;
    for (int i = 0; i < BW_TRIAL_MISMATCHES_MAX + 5; i++) {
        strcat(yaml, i ? ", 1" : "1");
        strcat(json, i ? ",2" : "2");
    }
    strcat(yaml, "]");
    strcat(json, "]");
    struct bw_trial_result result = match(yaml, json);
    assert_int_equal(result.count, BW_TRIAL_MISMATCHES_MAX);
    assert_int_equal(result.dropped, 5);
    memset(yaml, 'x', 1000);
    yaml[1000] = '\0';
    result = match(yaml, "1");
    assert_int_equal(strlen(result.mismatches[0].expected), sizeof result.mismatches[0].expected - 1);
    assert_string_equal(result.mismatches[0].expected + sizeof result.mismatches[0].expected - 4, "...");
}

static void test_a_test_that_says_nothing_expects_success(void **state)
{
    static const struct {
        const char *expect, *outcome;
        size_t count;
    } cases[] = {
        {"{}", "{\"state\":\"succeeded\"}", 0},
        {"{}", "{\"state\":\"failed\"}", 1},
        {"{error: {code: x}}", "{\"state\":\"failed\",\"error\":{\"code\":\"x\"}}", 0},
        {"{error: {code: x}}", "{\"state\":\"succeeded\"}", 2},
        {"{state: none}", "{\"state\":\"none\"}", 0},
        {"{took: 2h}", "{\"state\":\"succeeded\",\"took\":7200000}", 0},
        {"{took: 2h}", "{\"state\":\"succeeded\",\"took\":7200001}", 1},
        {"{steps: {a: {state: none}}}", "{\"state\":\"succeeded\",\"steps\":{}}", 0},
        {"{steps: {a: {state: succeeded}}}", "{\"state\":\"succeeded\",\"steps\":{}}", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        struct bw_errors errs = {0};
        struct bw_trial_result result = {0};
        snprintf(text, sizeof text, "tests:\n  - {name: t, inputs: {}, expect: %s}\n", cases[i].expect);
        struct bw_trial_file *file = bw_trial_file_parse(bw_slice_of(text), "flow.test.yaml", &errs);
        assert_non_null(file);
        result.outcome = bw_json_load(bw_slice_of(cases[i].outcome), NULL);
        bw_trial_judge(&file->tests[0], &result);
        if (result.count != cases[i].count) fail_msg("%s with %s: %zu", cases[i].expect, cases[i].outcome, result.count);
        json_decref(result.outcome);
        bw_trial_file_free(file);
    }
}

static void test_a_file_is_about_the_workflow_that_it_is_called_after(void **state)
{
    struct bw_errors errs = {0};
    struct bw_trial_file *file = bw_trial_file_parse(
        BW_SLICE("mocks: {a: {output: {n: 1}}, b: {}}\n"
                 "clock: 2026-01-02T00:00:00Z\n"
                 "event: {name: x, headers: {X-A: 1}}\n"
                 "tests:\n"
                 "  - {name: one, mocks: {a: [{error: {code: c, retry_after: 2s}}, {after: 1m}]}}\n"
                 "  - {name: two, workflow: other, inputs: {n: 1}, until: 1h, events: [{after: 2s, name: b}, {after: 1s, name: a}]}\n"),
        "some/folder/flow.test.yaml", &errs);
    (void)state;
    assert_non_null(file);
    assert_int_equal(file->test_count, 2);
    const struct bw_trial_test *one = &file->tests[0], *two = &file->tests[1];
    char *mocks = json_dumps(one->mocks, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(mocks, "{\"a\":[{\"error\":{\"code\":\"c\",\"retry_after_ms\":2000}},{\"after_ms\":60000}],\"b\":[{}]}");
    free(mocks);
    assert_true(bw_slice_is(one->workflow, "flow") && bw_slice_is(two->workflow, "other"));
    assert_true(one->clock_ms == 1767312000000 && two->until_ms == 3600000);
    assert_string_equal(one->first.headers.data, "{\"x-a\":\"1\"}");
    assert_true(bw_slice_is(one->first.name, "x") && !one->first.workflow.len);
    assert_true(bw_slice_is(two->first.workflow, "other"));
    assert_true(bw_slice_is(two->events[0].name, "a") && two->events[1].after_ms == 2000);
    bw_trial_file_free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_fits),
        cmocka_unit_test(test_what_does_not_fit),
        cmocka_unit_test(test_each_leaf_is_told_with_its_place),
        cmocka_unit_test(test_too_many_are_counted_and_long_ones_cut),
        cmocka_unit_test(test_a_test_that_says_nothing_expects_success),
        cmocka_unit_test(test_a_file_is_about_the_workflow_that_it_is_called_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
