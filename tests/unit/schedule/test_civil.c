#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/civil.h"
#include <time.h>

static void test_each_day_of_ten_thousand_years_goes_there_and_back(void **state)
{
    (void)state;
    int64_t days = bw_civil_days(0, 1, 1);
    assert_int_equal(days, -719528);
    for (int64_t year = 0; year <= 9999; year++)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= bw_civil_days_in_month(year, month); day++, days++) {
                struct bw_civil back = bw_civil_of(days * BW_CIVIL_DAY_S + 86399);
                bool same = bw_civil_days(year, month, day) == days && back.year == year && back.month == month && back.day == day &&
                            back.hour == 23 && back.minute == 59 && back.second == 59;
                if (!same) fail_msg("%d-%d-%d", (int)year, month, day);
            }
}

static void test_dates_are_those_of_the_c_library(void **state)
{
    (void)state;
    for (int64_t at = -62135596800; at < 253402300800; at += 86400 * 17 + 4711) {
        time_t time = (time_t)at;
        struct tm tm;
        gmtime_r(&time, &tm);
        struct bw_civil civil = bw_civil_of(at);
        assert_int_equal(civil.year, tm.tm_year + 1900);
        assert_int_equal(civil.month, tm.tm_mon + 1);
        assert_int_equal(civil.day, tm.tm_mday);
        assert_int_equal(civil.hour * 3600 + civil.minute * 60 + civil.second, tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
        assert_int_equal(bw_civil_weekday(bw_civil_floor_div(at, BW_CIVIL_DAY_S)), tm.tm_wday);
        assert_int_equal(bw_civil_seconds(&civil), at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_day_of_ten_thousand_years_goes_there_and_back),
        cmocka_unit_test(test_dates_are_those_of_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
