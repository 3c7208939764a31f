#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"
#include <stdbool.h>
#include <string.h>

/* Every code point, written by the rules of RFC 3629, and every two-byte start: nothing else is well-formed. */
static void test_exactly_the_code_points_are_accepted(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x110800; point++) {
        char bytes[4];
        size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        uint32_t left = point;
        for (size_t i = len - 1; i > 0; i--, left >>= 6) bytes[i] = (char)(0x80 | (left & 0x3f));
        bytes[0] = (char)(lead[len] | left);
        bool valid = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        if (bw_utf8_length(bytes, len) != (valid ? len : 0)) fail_msg("U+%04X", (unsigned)point);
        if (len > 1 && bw_utf8_length(bytes, len - 1) != 0) fail_msg("cut U+%04X", (unsigned)point);
    }
    assert_int_equal(bw_utf8_length("", 0), 0);
}

static void test_overlong_and_stray_bytes_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80", "\xbf",     "\xc0\x80",     "\xc1\xbf",        "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80",
        "\xff", "\xc3\x28", "\xe2\x82\x28", "\xf0\x9f\x94\x28"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(bw_utf8_length(bad[i], strlen(bad[i])), 0);
}

static void test_cut_never_splits_a_character(void **state)
{
    (void)state;
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x94z"; /* characters begin at 0 1 3 6 10 */
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t limit = 0; limit <= 10; limit++) assert_int_equal(bw_utf8_cut(text, limit), expected[limit]);
    assert_int_equal(bw_utf8_cut("\x80\x80\x80\x80\x80\x80", 5), 5); /* no text: any place will do */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exactly_the_code_points_are_accepted),
        cmocka_unit_test(test_overlong_and_stray_bytes_are_refused),
        cmocka_unit_test(test_cut_never_splits_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
