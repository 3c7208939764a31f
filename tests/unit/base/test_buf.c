#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include <stdio.h>
#include <stdlib.h>

static void test_appends_keep_a_nul_behind_the_bytes(void **state)
{
    (void)state;
    struct bw_buf buf = {0};
    assert_string_equal(bw_buf_slice(&buf).ptr, "");
    bw_buf_append_text(&buf, "ab");
    bw_buf_append_char(&buf, 'c');
    bw_buf_append_slice(&buf, BW_SLICE("de"));
    bw_buf_append(&buf, NULL, 0);
    bw_buf_printf(&buf, "-%d-%s", 7, "xyz");
    assert_string_equal(buf.data, "abcde-7-xyz");
    assert_int_equal(buf.len, 11);
    bw_buf_clear(&buf);
    assert_string_equal(buf.data, "");
    for (int i = 0; i < 1000; i++) bw_buf_printf(&buf, "%04d", i);
    assert_int_equal(buf.len, 4000);
    assert_memory_equal(buf.data + 3996, "0999", 5);
    bw_buf_free(&buf);
}

static void test_failed_buffer_keeps_what_it_had(void **state)
{
    (void)state;
    struct bw_buf buf = {0};
    bw_buf_append_text(&buf, "kept");
    assert_false(bw_buf_reserve(&buf, SIZE_MAX / 2));
    assert_true(buf.failed);
    bw_buf_append_text(&buf, "ignored");
    bw_buf_printf(&buf, "%d", 1);
    bw_buf_append_json_string(&buf, BW_SLICE("x"));
    assert_string_equal(buf.data, "kept");
    size_t len = 99;
    assert_null(bw_buf_take(&buf, &len));
    assert_int_equal(len, 0);
}

static void test_integers_are_written_as_printf_does(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, 1, -1, 9, 10, -10, 12345678901, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct bw_buf buf = {0};
        char expected[32];
        snprintf(expected, sizeof expected, "x%lld", (long long)numbers[i]);
        bw_buf_append_char(&buf, 'x');
        bw_buf_append_int(&buf, numbers[i]);
        assert_string_equal(buf.data, expected);
        bw_buf_free(&buf);
    }
}

static void test_take_hands_over_and_empties(void **state)
{
    (void)state;
    struct bw_buf buf = {0};
    size_t len;
    char *text = bw_buf_take(&buf, &len);
    assert_string_equal(text, "");
    free(text);
    bw_buf_append_text(&buf, "hello");
    text = bw_buf_take(&buf, &len);
    assert_string_equal(text, "hello");
    assert_int_equal(len, 5);
    assert_null(buf.data);
    free(text);
}

static void expect_json(struct bw_slice text, const char *json)
{
    struct bw_buf buf = {0};
    bw_buf_append_json_string(&buf, text);
    assert_string_equal(buf.data, json);
    assert_true(bw_json_string_length(text) >= buf.len && bw_json_string_length(text) <= 6 * text.len + 2);
    bw_buf_free(&buf);
}

static void test_json_string_escapes_what_must_be(void **state)
{
    (void)state;
    expect_json(BW_SLICE(""), "\"\"");
    expect_json((struct bw_slice){NULL, 0}, "\"\"");
    expect_json(BW_SLICE("plain text, longer than eight"), "\"plain text, longer than eight\"");
    expect_json(BW_SLICE("a\"b\\c\b\t\n\f\r\x01\x1b\x7f/"), "\"a\\\"b\\\\c\\b\\t\\n\\f\\r\\u0001\\u001b\\u007f/\"");
    expect_json(BW_SLICE("nul\0nul"), "\"nul\\u0000nul\"");
    expect_json(BW_SLICE("\xc2\x9b\xc2\xa0"), "\"\\u009b\xc2\xa0\""); /* C1 CSI is a control character, the no-break space none */
    expect_json(BW_SLICE("gr\xc3\xbc\xc3\x9f \xf0\x9f\x94\x94"), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x94\x94\"");
}

static void test_json_string_replaces_broken_utf8(void **state)
{
    (void)state;
    expect_json(BW_SLICE("a\xff"
                         "b"),
                "\"a\xef\xbf\xbd"
                "b\"");
    expect_json(BW_SLICE("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");                 /* overlong */
    expect_json(BW_SLICE("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* surrogate */
    expect_json(BW_SLICE("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    expect_json(BW_SLICE("cut \xe2\x82"), "\"cut \xef\xbf\xbd\xef\xbf\xbd\"");
}

/* The fast path looks at eight bytes at once: each special byte must be seen at each place of the word. */
static void test_json_string_sees_specials_at_every_offset(void **state)
{
    (void)state;
    for (int c = 1; c < 128; c++) {
        for (size_t at = 0; at < 20; at++) {
            char text[20], expected[64];
            memset(text, 'x', sizeof text);
            text[at] = (char)c;
            const char *shorts = c == '\b'   ? "b"
                                 : c == '\t' ? "t"
                                 : c == '\n' ? "n"
                                 : c == '\f' ? "f"
                                 : c == '\r' ? "r"
                                 : c == '"'  ? "\""
                                 : c == '\\' ? "\\"
                                             : "";
            char mid[8];
            if (*shorts)
                snprintf(mid, sizeof mid, "\\%s", shorts);
            else if (c < 0x20 || c == 0x7f)
                snprintf(mid, sizeof mid, "\\u%04x", (unsigned)c);
            else
                snprintf(mid, sizeof mid, "%c", c);
            snprintf(expected, sizeof expected, "\"%.*s%s%.*s\"", (int)at, "xxxxxxxxxxxxxxxxxxxx", mid, (int)(19 - at), "xxxxxxxxxxxxxxxxxxxx");
            expect_json((struct bw_slice){text, sizeof text}, expected);
        }
    }
}

static void test_slices_compare(void **state)
{
    (void)state;
    assert_true(bw_slice_equal((struct bw_slice){NULL, 0}, BW_SLICE("")));
    assert_true(bw_slice_is(BW_SLICE("abc"), "abc"));
    assert_false(bw_slice_is(BW_SLICE("ab\0c"), "ab"));
    assert_true(bw_slice_is_nocase(BW_SLICE("Content-TYPE"), "content-type"));
    assert_false(bw_slice_is_nocase(BW_SLICE("a["), "a{")); /* differ in 0x20 but are no letters */
    char *copy = bw_slice_dup(BW_SLICE("dup"));
    assert_string_equal(copy, "dup");
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_keep_a_nul_behind_the_bytes),       cmocka_unit_test(test_failed_buffer_keeps_what_it_had),
        cmocka_unit_test(test_integers_are_written_as_printf_does),       cmocka_unit_test(test_take_hands_over_and_empties),
        cmocka_unit_test(test_json_string_escapes_what_must_be),          cmocka_unit_test(test_json_string_replaces_broken_utf8),
        cmocka_unit_test(test_json_string_sees_specials_at_every_offset), cmocka_unit_test(test_slices_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
