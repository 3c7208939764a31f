#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include <stdio.h>
#include <string.h>

static void test_set_returns_false_and_empties_the_place(void **state)
{
    (void)state;
    struct bw_error err = {.hint = "old", .file = "old.yaml", .line = 3, .column = 4};
    assert_false(bw_error_set(&err, "yaml.syntax", "found %d", 7));
    assert_string_equal(err.code, "yaml.syntax");
    assert_string_equal(err.message, "found 7");
    assert_string_equal(err.hint, "");
    assert_string_equal(err.file, "");
    assert_int_equal(err.line, 0);
    assert_false(bw_error_set(NULL, "x", "nobody cares"));
    bw_error_hint(NULL, "x");
    bw_error_at(NULL, "x", 1, 1);
}

static void test_an_error_can_wrap_itself(void **state)
{
    (void)state;
    struct bw_error err;
    bw_error_set(&err, "a", "inner");
    bw_error_set(&err, "b", "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
}

static void test_innermost_place_wins(void **state)
{
    (void)state;
    struct bw_error err;
    bw_error_set(&err, "a", "m");
    bw_error_at(&err, NULL, 5, 6);
    bw_error_at(&err, "inner.yaml", 7, 8);
    bw_error_at(&err, "outer.yaml", 9, 10);
    assert_string_equal(err.file, "inner.yaml");
    assert_int_equal(err.line, 5);
    assert_int_equal(err.column, 6);
}

static void test_line_of_another_file_is_not_taken(void **state)
{
    (void)state;
    struct bw_error err;
    bw_error_set(&err, "a", "m");
    bw_error_at(&err, "inner.lua", 0, 0);
    bw_error_at(&err, "outer.yaml", 9, 10);
    assert_string_equal(err.file, "inner.lua");
    assert_int_equal(err.line, 0);
}

static void test_text_leaves_out_what_is_unknown(void **state)
{
    (void)state;
    char buf[1200];
    struct bw_error err = {.code = "c.d", .message = "m"};
    assert_string_equal(bw_error_text(&err, buf, sizeof buf), "m  [c.d]");
    bw_error_hint(&err, "did you mean '%s'?", "steps");
    bw_error_at(&err, "f.yaml", 2, 3);
    assert_string_equal(bw_error_text(&err, buf, sizeof buf), "f.yaml:2:3: m (did you mean 'steps'?)  [c.d]");
    err.column = 0;
    assert_string_equal(bw_error_text(&err, buf, sizeof buf), "f.yaml:2: m (did you mean 'steps'?)  [c.d]");
    err.line = 0;
    assert_string_equal(bw_error_text(&err, buf, sizeof buf), "f.yaml: m (did you mean 'steps'?)  [c.d]");
    assert_string_equal(bw_error_text(&err, buf, 5), "f.ya");
}

static void test_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    struct bw_error err;
    char text[1001];
    for (int i = 0; i < 1000; i += 2) memcpy(text + i, "\xc3\xa9", 2);
    text[1000] = '\0';
    bw_error_set(&err, "a", "%s", text);
    assert_int_equal(strlen(err.message), 510); /* 511 would be half an é */
    bw_error_set(&err, "a", "x%s", text);
    assert_int_equal(strlen(err.message), 511);
}

static void test_what_others_wrote_does_not_move_the_cursor(void **state)
{
    (void)state;
    struct bw_error err;
    bw_error_set(&err, "their\033[2J", "found '%s'",
                 "\033]0;title\a\177\r\xc2\x9b"
                 "31m\xc2\xa0\xc3\x9b");
    bw_error_hint(&err, "two\nlines of %s", "\033[31m");
    assert_string_equal(err.code, "their [2J");
    assert_string_equal(err.message, "found ' ]0;title     31m\xc2\xa0\xc3\x9b'");
    assert_string_equal(err.hint, "two\nlines of  [31m");
}

static void test_list_counts_what_it_does_not_keep(void **state)
{
    (void)state;
    struct bw_errors list = {0};
    for (int i = 0; i < BW_ERRORS_MAX; i++) assert_int_equal(bw_errors_add(&list, "x", "number %d", i)->line, 0);
    assert_int_equal(list.count, BW_ERRORS_MAX);
    bw_error_hint(bw_errors_add(&list, "x", "over"), "must be harmless");
    bw_errors_push(&list, &(struct bw_error){.code = "x"});
    assert_int_equal(list.count, BW_ERRORS_MAX + 1);
    assert_string_equal(list.items[BW_ERRORS_MAX].code, "too_many_errors");
    assert_string_equal(list.items[BW_ERRORS_MAX].message, "2 more errors are not shown");
    assert_string_equal(list.items[BW_ERRORS_MAX - 1].message, "number 199");
    bw_errors_free(&list);
    assert_int_equal(list.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_returns_false_and_empties_the_place),
        cmocka_unit_test(test_an_error_can_wrap_itself),
        cmocka_unit_test(test_innermost_place_wins),
        cmocka_unit_test(test_line_of_another_file_is_not_taken),
        cmocka_unit_test(test_text_leaves_out_what_is_unknown),
        cmocka_unit_test(test_long_text_is_cut_between_characters),
        cmocka_unit_test(test_what_others_wrote_does_not_move_the_cursor),
        cmocka_unit_test(test_list_counts_what_it_does_not_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
