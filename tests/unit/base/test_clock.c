#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static int64_t fixed(void *arg)
{
    return *(int64_t *)arg;
}

static void test_override_drives_both_clocks(void **state)
{
    (void)state;
    int64_t now = 42;
    bw_clock_override(&(struct bw_clock){fixed, fixed, &now});
    assert_int_equal(bw_clock_wall_ms(), 42);
    now = 43;
    assert_int_equal(bw_clock_mono_us(), 43);
    bw_clock_override(NULL);
    assert_true(bw_clock_wall_ms() > 1700000000000);
    int64_t before = bw_clock_mono_us();
    assert_true(bw_clock_mono_us() >= before);
}

static void test_text_is_rfc3339_with_milliseconds(void **state)
{
    (void)state;
    char buf[BW_CLOCK_TEXT];
    assert_string_equal(bw_clock_text(0, buf), "1970-01-01T00:00:00.000Z");
    assert_string_equal(bw_clock_text(1795435200123, buf), "2026-11-23T12:00:00.123Z");
    assert_string_equal(bw_clock_text(951782399999, buf), "2000-02-28T23:59:59.999Z");
    assert_string_equal(bw_clock_text(951782400000, buf), "2000-02-29T00:00:00.000Z");
    assert_string_equal(bw_clock_text(-1, buf), "1969-12-31T23:59:59.999Z");
    assert_string_equal(bw_clock_text(INT64_MAX, buf), "9999-12-31T23:59:59.999Z");
    assert_string_equal(bw_clock_text(INT64_MIN, buf), "0000-01-01T00:00:00.000Z");
}

static void test_text_is_read_back_and_nothing_else_is(void **state)
{
    static const struct {
        const char *text;
        int64_t wall_ms; /* -1: it is no time */
    } cases[] = {
        {"2026-11-23T12:00:00.123Z", 1795435200123},
        {"2026-11-23T12:00:00Z", 1795435200000},
        {"2026-11-23t12:00:00z", 1795435200000},
        {"2026-11-23 12:00:00.5Z", 1795435200500},
        {"2026-11-23T12:00:00.0009Z", 1795435200000},
        {"2026-11-23T14:00:00+02:00", 1795435200000},
        {"2026-11-23T06:30:00.25-05:30", 1795435200250},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2026-11-23T12:00:00", -1},
        {"2026-11-23T12:00:00.Z", -1},
        {"2026-11-23T12:00:00.5", -1},
        {"2026-11-23T12:00:00ZZ", -1},
        {"2026-11-23T12:00:00+0200", -1},
        {"2026-11-23T12:00:00+02:00Z", -1},
        {"2026-11-23T12:00:00+24:00", -1},
        {"2026-02-29T12:00:00Z", -1},
        {"1900-02-29T12:00:00Z", -1},
        {"2026-13-01T12:00:00Z", -1},
        {"2026-11-31T12:00:00Z", -1},
        {"2026-11-23T24:00:00Z", -1},
        {"2026-11-23T12:60:00Z", -1},
        {"2026-11-23", -1},
        {"1795435200123", -1},
        {"", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t wall_ms = -1;
        bool is_time = bw_clock_parse(bw_slice_of(cases[i].text), &wall_ms);
        if (is_time != (cases[i].wall_ms >= 0) || wall_ms != cases[i].wall_ms) fail_msg("%s: %d, %lld", cases[i].text, is_time, (long long)wall_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_override_drives_both_clocks), cmocka_unit_test(test_text_is_rfc3339_with_milliseconds),
                                       cmocka_unit_test(test_text_is_read_back_and_nothing_else_is)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
