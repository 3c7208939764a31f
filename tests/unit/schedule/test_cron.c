#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/zones.h"

/* All firings in (from, until], one "nominal=instant" a line; from and until in UTC. */
static void expect(const char *rule, const char *zone_name, const char *from, const char *until, const char *expected)
{
    struct bw_cron cron = rule_of(rule);
    struct bw_zone *zone = zone_of(zone_name);
    struct bw_buf text = {0};
    int64_t at = local_time(from) * 1000, end = local_time(until) * 1000;
    uint64_t count = 0, missed = 77;
    struct bw_firing firing, newest = {.at_ms = 77}, last = {.at_ms = 77};
    char clock[BW_CLOCK_TEXT];
    while (bw_cron_next(&cron, zone, at, &firing) && firing.at_ms <= end) {
        assert_true(firing.at_ms > at);
        bw_buf_printf(&text, "%s=%s\n", firing.nominal, bw_clock_text(firing.at_ms, clock));
        at = firing.at_ms;
        last = firing;
        count++;
    }
    assert_string_equal(text.data ? text.data : "", expected);
    /* What was missed is what would have been walked. */
    assert_int_equal(bw_cron_latest(&cron, zone, local_time(from) * 1000, end, &newest, &missed), count > 0);
    assert_int_equal(missed, count);
    assert_int_equal(newest.at_ms, last.at_ms);
    if (count) assert_string_equal(newest.nominal, last.nominal);
    bw_buf_free(&text);
    bw_zone_close(zone);
}

static void test_a_time_in_the_spring_gap_fires_at_its_end(void **state)
{
    (void)state;
    expect("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00", "2026-03-30T12:00",
           "2026-03-28T02:30=2026-03-28T01:30:00.000Z\n2026-03-29T02:30=2026-03-29T01:00:00.000Z\n2026-03-30T02:30=2026-03-30T00:30:00.000Z\n");
    expect("30 2 * * *", "America/New_York", "2026-03-07T12:00", "2026-03-09T12:00",
           "2026-03-08T02:30=2026-03-08T07:00:00.000Z\n2026-03-09T02:30=2026-03-09T06:30:00.000Z\n");
}

static void test_several_times_of_one_gap_fire_in_order_each_once(void **state)
{
    (void)state;
    expect("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T12:00",
           "2026-03-29T02:00=2026-03-29T01:00:00.000Z\n2026-03-29T02:30=2026-03-29T01:00:00.001Z\n");
}

static void test_what_is_due_at_the_gaps_end_comes_after_what_the_gap_held(void **state)
{
    (void)state;
    expect("@hourly", "Europe/Berlin", "2026-03-28T23:30", "2026-03-29T02:30",
           "2026-03-29T01:00=2026-03-29T00:00:00.000Z\n2026-03-29T02:00=2026-03-29T01:00:00.000Z\n"
           "2026-03-29T03:00=2026-03-29T01:00:00.001Z\n2026-03-29T04:00=2026-03-29T02:00:00.000Z\n");
}

static void test_a_repeated_time_fires_at_its_first_occurrence(void **state)
{
    (void)state;
    expect("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", "2026-10-26T12:00",
           "2026-10-25T02:30=2026-10-25T00:30:00.000Z\n2026-10-26T02:30=2026-10-26T01:30:00.000Z\n");
    expect("@hourly", "Europe/Berlin", "2026-10-24T23:30", "2026-10-25T02:30",
           "2026-10-25T02:00=2026-10-25T00:00:00.000Z\n2026-10-25T03:00=2026-10-25T02:00:00.000Z\n");
    expect("30 1 * * *", "America/New_York", "2026-10-31T12:00", "2026-11-02T12:00",
           "2026-11-01T01:30=2026-11-01T05:30:00.000Z\n2026-11-02T01:30=2026-11-02T06:30:00.000Z\n");
}

static void test_minute_steps_follow_elapsed_time(void **state)
{
    (void)state;
    expect("*/15 * * * *", "Europe/Berlin", "2026-03-29T00:30", "2026-03-29T01:15",
           "2026-03-29T01:45=2026-03-29T00:45:00.000Z\n2026-03-29T03:00=2026-03-29T01:00:00.000Z\n2026-03-29T03:15=2026-03-29T01:15:00.000Z\n");
    expect("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:30", "2026-10-25T02:00",
           "2026-10-25T02:00+02:00=2026-10-25T00:00:00.000Z\n2026-10-25T02:30+02:00=2026-10-25T00:30:00.000Z\n"
           "2026-10-25T02:00+01:00=2026-10-25T01:00:00.000Z\n2026-10-25T02:30+01:00=2026-10-25T01:30:00.000Z\n"
           "2026-10-25T03:00=2026-10-25T02:00:00.000Z\n");
}

static void test_what_counts_as_minute_steps(void **state)
{
    (void)state;
    static const char *const elapsed[] = {"* * * * *",       "*/5 * * * *", "10-50/10 * * * *", "0-59 * * * *",
                                          "*/20 0-23 * * *", "* */1 * * *", "0,30-50/5 * 1 * *"};
    static const char *const nominal[] = {"0 * * * *", "0,30 * * * *", "*/5 2 * * *", "* 0-22 * * *", "5-10 * * * *", "*/5 */2 * * *"};
    for (size_t i = 0; i < sizeof elapsed / sizeof *elapsed; i++) assert_true(rule_of(elapsed[i]).elapsed_time);
    for (size_t i = 0; i < sizeof nominal / sizeof *nominal; i++) assert_false(rule_of(nominal[i]).elapsed_time);
}

static void test_half_an_hour_of_daylight_time(void **state)
{
    (void)state;
    expect("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00", "2026-10-04T18:00",
           "2026-10-04T02:15=2026-10-03T15:30:00.000Z\n2026-10-05T02:15=2026-10-04T15:15:00.000Z\n");
    expect("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00", "2026-04-05T18:00",
           "2026-04-05T01:45=2026-04-04T14:45:00.000Z\n2026-04-06T01:45=2026-04-05T15:15:00.000Z\n");
    expect("*/20 * * * *", "Australia/Lord_Howe", "2026-10-03T15:00", "2026-10-03T15:45",
           "2026-10-04T01:40=2026-10-03T15:10:00.000Z\n2026-10-04T02:40=2026-10-03T15:40:00.000Z\n");
    expect("*/20 * * * *", "Australia/Lord_Howe", "2026-04-04T14:15", "2026-04-04T15:30",
           "2026-04-05T01:20=2026-04-04T14:20:00.000Z\n2026-04-05T01:40+11:00=2026-04-04T14:40:00.000Z\n"
           "2026-04-05T01:40+10:30=2026-04-04T15:10:00.000Z\n2026-04-05T02:00=2026-04-04T15:30:00.000Z\n");
}

static void test_two_hours_of_daylight_time(void **state)
{
    (void)state;
    expect("30 1,2 * * *", "Antarctica/Troll", "2026-03-28T12:00", "2026-03-29T12:00",
           "2026-03-29T01:30=2026-03-29T01:00:00.000Z\n2026-03-29T02:30=2026-03-29T01:00:00.001Z\n");
    expect("30 1,2 * * *", "Antarctica/Troll", "2026-10-24T12:00", "2026-10-25T12:00",
           "2026-10-25T01:30=2026-10-24T23:30:00.000Z\n2026-10-25T02:30=2026-10-25T00:30:00.000Z\n");
}

static void test_clocks_that_are_put_back_for_ramadan(void **state)
{
    (void)state;
    expect("30 2 * * *", "Africa/Casablanca", "2026-02-14T12:00", "2026-02-16T12:00",
           "2026-02-15T02:30=2026-02-15T01:30:00.000Z\n2026-02-16T02:30=2026-02-16T02:30:00.000Z\n");
    expect("30 2 * * *", "Africa/Casablanca", "2026-03-21T12:00", "2026-03-23T12:00",
           "2026-03-22T02:30=2026-03-22T02:00:00.000Z\n2026-03-23T02:30=2026-03-23T01:30:00.000Z\n");
}

static void test_a_day_that_a_zone_skips_is_a_gap(void **state)
{
    (void)state;
    expect("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00", "2011-12-31T12:00",
           "2011-12-29T12:00=2011-12-29T22:00:00.000Z\n2011-12-30T12:00=2011-12-30T10:00:00.000Z\n2011-12-31T12:00=2011-12-30T22:00:00.000Z\n");
    expect("@daily", "Pacific/Apia", "2011-12-29T00:00", "2011-12-31T00:00",
           "2011-12-29T00:00=2011-12-29T10:00:00.000Z\n2011-12-30T00:00=2011-12-30T10:00:00.000Z\n2011-12-31T00:00=2011-12-30T10:00:00.001Z\n");
    /* 30 December 2011 was a Friday. */
    expect("0 9 * * FRI", "Pacific/Apia", "2011-12-24T12:00", "2012-01-06T12:00",
           "2011-12-30T09:00=2011-12-30T10:00:00.000Z\n2012-01-06T09:00=2012-01-05T19:00:00.000Z\n");
}

static void test_a_midnight_that_does_not_exist(void **state)
{
    (void)state;
    expect("@daily", "America/Sao_Paulo", "2018-11-02T12:00", "2018-11-05T12:00",
           "2018-11-03T00:00=2018-11-03T03:00:00.000Z\n2018-11-04T00:00=2018-11-04T03:00:00.000Z\n2018-11-05T00:00=2018-11-05T02:00:00.000Z\n");
    expect("30 23 * * *", "America/Sao_Paulo", "2019-02-16T12:00", "2019-02-18T12:00",
           "2019-02-16T23:30=2019-02-17T01:30:00.000Z\n2019-02-17T23:30=2019-02-18T02:30:00.000Z\n");
}

static void test_offsets_of_quarters_of_an_hour(void **state)
{
    (void)state;
    expect("0 9 * * *", "Asia/Kathmandu", "2026-01-01T00:00", "2026-01-02T00:00", "2026-01-01T09:00=2026-01-01T03:15:00.000Z\n");
    expect("@hourly", "Asia/Kathmandu", "2026-01-01T00:00", "2026-01-01T01:30",
           "2026-01-01T06:00=2026-01-01T00:15:00.000Z\n2026-01-01T07:00=2026-01-01T01:15:00.000Z\n");
}

static void test_either_day_matches_if_both_are_restricted(void **state)
{
    (void)state;
    expect("0 9 13 * FRI", "UTC", "2026-11-01T00:00", "2026-11-21T00:00",
           "2026-11-06T09:00=2026-11-06T09:00:00.000Z\n2026-11-13T09:00=2026-11-13T09:00:00.000Z\n2026-11-20T09:00=2026-11-20T09:00:00.000Z\n");
    expect("0 9 13 * FRI", "UTC", "2026-12-12T00:00", "2026-12-18T00:00", "2026-12-13T09:00=2026-12-13T09:00:00.000Z\n");
    /* A field that begins with * is not restricted: odd days that are Fridays. */
    expect("0 9 */2 * FRI", "UTC", "2026-11-01T00:00", "2026-11-30T00:00",
           "2026-11-13T09:00=2026-11-13T09:00:00.000Z\n2026-11-27T09:00=2026-11-27T09:00:00.000Z\n");
    expect("0 9 13 * *", "UTC", "2026-11-01T00:00", "2026-12-31T00:00",
           "2026-11-13T09:00=2026-11-13T09:00:00.000Z\n2026-12-13T09:00=2026-12-13T09:00:00.000Z\n");
}

static void test_leap_days_are_found_over_a_century_without_one(void **state)
{
    (void)state;
    expect("0 0 29 2 *", "UTC", "2096-03-01T00:00", "2105-01-01T00:00", "2104-02-29T00:00=2104-02-29T00:00:00.000Z\n");
    expect("0 0 29 2 */6", "UTC", "2088-03-01T00:00", "2120-01-01T00:00", /* and a Saturday or Sunday */
           "2116-02-29T00:00=2116-02-29T00:00:00.000Z\n");
}

static void test_the_end_of_the_calendar_is_no_firing(void **state)
{
    (void)state;
    struct bw_cron cron = rule_of("@yearly");
    struct bw_zone *zone = zone_of("UTC");
    struct bw_firing firing = {.at_ms = 77};
    uint64_t missed = 77;
    assert_false(bw_cron_next(&cron, zone, local_time("9999-06-01T00:00") * 1000, &firing));
    assert_false(bw_cron_next(&cron, zone, INT64_MAX, &firing));
    assert_false(bw_cron_latest(&cron, zone, INT64_MAX - 1, INT64_MAX, &firing, &missed));
    assert_int_equal(firing.at_ms, 77);
    assert_int_equal(missed, 0);
    assert_true(bw_cron_next(&cron, zone, INT64_MIN, &firing));
    assert_string_equal(firing.nominal, "0002-01-01T00:00");
    assert_true(bw_cron_latest(&cron, zone, INT64_MIN, INT64_MAX, &firing, &missed));
    assert_string_equal(firing.nominal, "9999-01-01T00:00");
    assert_int_equal(missed, 9998);
    bw_zone_close(zone);
}

static void test_nothing_was_missed_in_no_time(void **state)
{
    (void)state;
    struct bw_cron cron = rule_of("* * * * *");
    struct bw_zone *zone = zone_of("Europe/Berlin");
    struct bw_firing firing = {.at_ms = 77};
    uint64_t missed = 77;
    int64_t at = local_time("2026-06-01T12:00") * 1000;
    assert_false(bw_cron_latest(&cron, zone, at, at, &firing, &missed));
    assert_int_equal(missed, 0);
    assert_false(bw_cron_latest(&cron, zone, at, at - 600000, &firing, &missed));
    assert_false(bw_cron_latest(&cron, zone, at, at + 59999, &firing, &missed));
    assert_int_equal(firing.at_ms, 77);
    assert_true(bw_cron_latest(&cron, zone, at, at + 60000, &firing, &missed));
    assert_int_equal(missed, 1);
    assert_int_equal(firing.at_ms, at + 60000);
    bw_zone_close(zone);
}

static void test_a_year_of_minutes_is_counted_exactly(void **state)
{
    (void)state;
    struct bw_zone *zone = zone_of("Europe/Berlin");
    struct bw_cron each = rule_of("* * * * *"), but_one = rule_of("* 0-22 * * *");
    struct bw_firing firing;
    uint64_t missed;
    int64_t begin = local_time("2026-01-01T00:00") * 1000, end = local_time("2027-01-01T00:00") * 1000;
    assert_true(bw_cron_latest(&each, zone, begin, end, &firing, &missed));
    assert_int_equal(missed, 365 * 1440);
    assert_string_equal(firing.nominal, "2027-01-01T01:00");
    assert_true(bw_cron_latest(&but_one, zone, begin, end, &firing, &missed));
    assert_int_equal(missed, 365 * 23 * 60);
    bw_zone_close(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_time_in_the_spring_gap_fires_at_its_end),
        cmocka_unit_test(test_several_times_of_one_gap_fire_in_order_each_once),
        cmocka_unit_test(test_what_is_due_at_the_gaps_end_comes_after_what_the_gap_held),
        cmocka_unit_test(test_a_repeated_time_fires_at_its_first_occurrence),
        cmocka_unit_test(test_minute_steps_follow_elapsed_time),
        cmocka_unit_test(test_what_counts_as_minute_steps),
        cmocka_unit_test(test_half_an_hour_of_daylight_time),
        cmocka_unit_test(test_two_hours_of_daylight_time),
        cmocka_unit_test(test_clocks_that_are_put_back_for_ramadan),
        cmocka_unit_test(test_a_day_that_a_zone_skips_is_a_gap),
        cmocka_unit_test(test_a_midnight_that_does_not_exist),
        cmocka_unit_test(test_offsets_of_quarters_of_an_hour),
        cmocka_unit_test(test_either_day_matches_if_both_are_restricted),
        cmocka_unit_test(test_leap_days_are_found_over_a_century_without_one),
        cmocka_unit_test(test_the_end_of_the_calendar_is_no_firing),
        cmocka_unit_test(test_nothing_was_missed_in_no_time),
        cmocka_unit_test(test_a_year_of_minutes_is_counted_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
