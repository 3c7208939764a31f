#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/units.h"

static void test_durations_as_users_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"500ms", 500}, {"30s", 30000},   {"5m", 300000},   {"2h", 7200000},      {"3d", 259200000}, {"1h30m", 5400000}, {"1d2h3m4s5ms", 93784005},
        {"0s", 0},      {"1m1ms", 60001}, {"90m", 5400000}, {"366d", 31622400000}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ms = -1;
        assert_true(bw_duration_parse(bw_slice_of(good[i].text), &ms, NULL));
        assert_int_equal(ms, good[i].ms);
    }
}

static void test_other_durations_are_refused_with_a_hint(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "5",    "s",  "-5s",  "+5s",    "5 s",   " 5s", "5s ", "1.5s",
                                      "30m1h", "1s1s", "5S", "5sec", "1h 30m", "5ms1s", "1w",  "0x5s"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms = 77;
        struct bw_error err = {0};
        assert_false(bw_duration_parse(bw_slice_of(bad[i]), &ms, &err));
        assert_string_equal(err.code, "units.duration");
        assert_true(err.hint[0] != '\0');
        assert_int_equal(ms, 77);
    }
    struct bw_error err = {0};
    int64_t ms;
    assert_false(bw_duration_parse(BW_SLICE("366d1ms"), &ms, &err));
    assert_string_equal(err.message, "'366d1ms' is longer than 366 days");
    assert_false(bw_duration_parse(BW_SLICE("9223372036854775807d"), &ms, &err));
    assert_false(bw_duration_parse(BW_SLICE("99999999999999999999s"), &ms, &err));
    assert_false(bw_duration_parse((struct bw_slice){NULL, 0}, &ms, &err));
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0}, {"512", 512}, {"512B", 512}, {"64KiB", 65536}, {"1MiB", 1048576}, {"10GiB", 10737418240}};
    static const char *const bad[] = {
        "", "KiB", "-1", "1KB", "1kib", "1.5MiB", "1 MiB", "1MiB1KiB", "18446744073709551616", "18446744073709551615GiB"};
    uint64_t bytes;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(bw_size_parse(bw_slice_of(good[i].text), &bytes, NULL));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bw_error err = {0};
        assert_false(bw_size_parse(bw_slice_of(bad[i]), &bytes, &err));
        assert_string_equal(err.code, "units.size");
        assert_true(err.hint[0] != '\0');
    }
}

static void test_duration_text(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(bw_duration_text(0, out), "0s");
    assert_string_equal(bw_duration_text(250, out), "250ms");
    assert_string_equal(bw_duration_text(1250, out), "1.25s");
    assert_string_equal(bw_duration_text(1005, out), "1.005s");
    assert_string_equal(bw_duration_text(10000, out), "10s");
    assert_string_equal(bw_duration_text(5400000, out), "1h30m");
    assert_string_equal(bw_duration_text(61500, out), "1m1.5s");
    assert_string_equal(bw_duration_text(93784000, out), "1d2h3m4s");
    assert_string_equal(bw_duration_text(-1500, out), "-1.5s");
    assert_string_equal(bw_duration_text(INT64_MIN, out), "-106751991167d7h12m55.808s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations_as_users_write_them),
        cmocka_unit_test(test_other_durations_are_refused_with_a_hint),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_duration_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
