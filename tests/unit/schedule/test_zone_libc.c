/* The C library reads the same files with code of its own: both must agree about every zone. This binary is one process with one
 * thread, so that TZ may be set. BELLWIRE_DEEP=1 asks more often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/zones.h"
#include <time.h>

/* Before 1900 the libraries choose differently what was before the first change. */
#define FIRST_S (-2208988800)

static void same_as_libc(const struct bw_zone *zone, const char *name, int64_t at)
{
    time_t time = (time_t)at;
    struct tm tm;
    struct bw_zone_span span = bw_zone_span(zone, at);
    int32_t offset;
    bool is_dst;
    bw_zone_local(zone, at, &offset, &is_dst);
    if (!localtime_r(&time, &tm) || tm.tm_gmtoff != offset || (tm.tm_isdst > 0) != is_dst)
        fail_msg("%s at %lld: offset %d, dst %d; libc %ld, %d", name, (long long)at, offset, is_dst, tm.tm_gmtoff, tm.tm_isdst);
    if (span.from_s > at || span.until_s <= at || span.offset_s != offset) fail_msg("%s at %lld: not inside of its span", name, (long long)at);
    /* There and back: the instant is one of those that its local time has. */
    struct bw_zone_instants back = bw_zone_to_unix(zone, at + offset);
    bool found = back.kind == BW_ZONE_UNIQUE ? back.first_s == at && back.last_s == at
                                             : back.kind == BW_ZONE_AMBIGUOUS && (back.first_s == at || back.last_s == at);
    if (!found)
        fail_msg("%s at %lld: local time leads to %lld or %lld (%d)", name, (long long)at, (long long)back.first_s, (long long)back.last_s,
                 back.kind);
}

static void around_a_change(const struct bw_zone *zone, const char *name, int64_t at)
{
    static const int64_t near[] = {-86400, -7200, -3601, -3600, -1800, -2, -1, 0, 1, 1799, 3599, 3600, 7199, 86400};
    int32_t before, after;
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) same_as_libc(zone, name, at + near[i]);
    bw_zone_local(zone, at - 1, &before, NULL);
    bw_zone_local(zone, at, &after, NULL);
    for (int64_t local = at + before; local < at + after; local += (after - before + 6) / 7) { /* nothing shows these */
        struct bw_zone_instants gap = bw_zone_to_unix(zone, local);
        if (gap.kind != BW_ZONE_GAP || gap.first_s != at || gap.last_s != at) fail_msg("%s: no gap before %lld", name, (long long)at);
    }
    for (int64_t local = at + after; local < at + before; local += (before - after + 6) / 7) {
        struct bw_zone_instants twice = bw_zone_to_unix(zone, local);
        if (twice.kind != BW_ZONE_AMBIGUOUS || twice.first_s != local - before || twice.last_s != local - after)
            fail_msg("%s: not ambiguous at %lld", name, (long long)at);
    }
}

static void test_all_zones_agree_with_the_c_library(void **state)
{
    (void)state;
    struct zones zones;
    uint64_t seed = 1;
    size_t changes = 0;
    int random = getenv("BELLWIRE_DEEP") ? 20000 : 400;
    find_zones(&zones);
    if (zones.count == 0) skip();
    assert_true(zones.count > 300);
    for (size_t i = 0; i < zones.count; i++) {
        struct bw_zone *zone = zone_of(zones.names[i]);
        setenv("TZ", zones.names[i], 1);
        tzset();
        int64_t end = local_time("2050-01-01T00:00"), far = local_time("9990-01-01T00:00");
        for (int64_t at = bw_zone_span(zone, FIRST_S).until_s; at < end; at = bw_zone_span(zone, at).until_s, changes++)
            around_a_change(zone, zones.names[i], at);
        for (int64_t at = local_time("2430-01-01T00:00"), last = local_time("2445-01-01T00:00"); (at = bw_zone_span(zone, at).until_s) < last;)
            around_a_change(zone, zones.names[i], at); /* where the table of a rule begins anew */
        for (int k = 0; k < random; k++)
            same_as_libc(zone, zones.names[i], FIRST_S + (int64_t)(next_random(&seed) % (uint64_t)((k % 4 ? end : far) - FIRST_S)));
        bw_zone_close(zone);
    }
    print_message("%zu zones, %zu changes until 2050\n", zones.count, changes);
    free_zones(&zones);
    unsetenv("TZ");
}

static void put_number(struct bw_buf *out, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8) bw_buf_append_char(out, (char)(value >> shift));
}

/* A file of one kind of local time and no change: what it says comes from the rule alone. */
static struct bw_zone *zone_of_rule(const char *rule, struct bw_error *err)
{
    struct bw_buf file = {0};
    for (int version = 1; version <= 2; version++) {
        static const char zeros[15];
        bw_buf_append(&file, "TZif3", 5);
        bw_buf_append(&file, zeros, 15);
        for (int i = 0; i < 4; i++) put_number(&file, 0);
        put_number(&file, 1); /* types */
        put_number(&file, 1); /* characters */
        bw_buf_append(&file, zeros, 7);
    }
    bw_buf_printf(&file, "\n%s\n", rule);
    struct bw_zone *zone = bw_zone_parse(BW_SLICE("rule"), bw_buf_slice(&file), err);
    bw_buf_free(&file);
    return zone;
}

static void test_rules_mean_what_the_c_library_understands(void **state)
{
    (void)state;
    static const char *const rules[] = {"CET-1CEST,M3.5.0,M10.5.0/3",
                                        "EST5EDT,M3.2.0,M11.1.0",
                                        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
                                        "IST-1GMT0,M10.5.0,M3.5.0/1",
                                        "EET-2EEST,M3.4.4/50,M10.4.4/50",
                                        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
                                        "XXX3YYY,J60,J300",
                                        "XXX3YYY,J59/0,J365/1:02:03",
                                        "XXX-3YYY,59,300/23:59:59",
                                        "XXX-3YYY-3:30:15,60/4,200",
                                        "NZST-12NZDT,M9.5.0,M4.1.0/3",
                                        "XXX+5:45",
                                        "<-03>3<-02>,M3.2.0/-2,M11.1.0/-167",
                                        "ABC0DEF,M2.5.1/100,M8.4.6/-100",
                                        "ABC12DEF,J1/24,J180",
                                        "ABC-14DEF,0/24,M6.3.3"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct bw_error err = {0};
        struct bw_zone *zone = zone_of_rule(rules[i], &err);
        if (!zone) fail_msg("%s: %s", rules[i], err.message);
        setenv("TZ", rules[i], 1);
        tzset();
        int64_t end = local_time("2460-01-01T00:00");
        int changes = 0;
        for (int64_t at = bw_zone_span(zone, local_time("1970-01-05T00:00")).until_s; at < end; at = bw_zone_span(zone, at).until_s, changes++)
            around_a_change(zone, rules[i], at);
        if (strchr(rules[i], ',')) assert_in_range(changes, 2 * 489, 2 * 491);
        bw_zone_close(zone);
    }
    unsetenv("TZ");
}

static void test_rules_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"C-1",
                                      "CET",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.6.0,M10.5.0",
                                      "CET-25",
                                      "CET-1x",
                                      "CET-1CEST,J0,J5",
                                      "CET-1CEST,366,5",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-1CEST,M3.5.0/168,M10.5.0",
                                      "<CET-1",
                                      "<>-1",
                                      "CET-1:60",
                                      "CET-1:00:60",
                                      "CET-1CEST,M3.5.0,M10.5.0 ",
                                      "CET-1CEST,M3.5.0,M10.5.0/",
                                      "CET-",
                                      "1CET",
                                      "CET-1CEST,,",
                                      "CET-1CEST;M3.5.0,J300",
                                      "CET-1:",
                                      "CET-1CEST,M3.5,M10.5.0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bw_error err = {0};
        if (zone_of_rule(bad[i], &err)) fail_msg("accepted: %s", bad[i]);
        assert_string_equal(err.code, "zone.corrupt");
        assert_non_null(strstr(err.message, bad[i]));
    }
}

static void test_daylight_time_all_year_is_no_change(void **state)
{
    (void)state;
    struct bw_zone *zone = zone_of_rule("XXX5YYY4,0/0,J365/25", NULL);
    assert_non_null(zone);
    for (int64_t at = 0; at < local_time("2500-01-01T00:00"); at += 86400) {
        int32_t offset;
        bool is_dst;
        bw_zone_local(zone, at, &offset, &is_dst);
        assert_true(is_dst && offset == -4 * 3600);
        assert_int_equal(bw_zone_to_unix(zone, at + offset).kind, BW_ZONE_UNIQUE);
    }
    bw_zone_close(zone);
}

int main(void)
{
    unsetenv("TZDIR");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_zones_agree_with_the_c_library),
        cmocka_unit_test(test_rules_mean_what_the_c_library_understands),
        cmocka_unit_test(test_rules_that_are_none_are_refused),
        cmocka_unit_test(test_daylight_time_all_year_is_no_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
