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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_override_drives_both_clocks), cmocka_unit_test(test_text_is_rfc3339_with_milliseconds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
