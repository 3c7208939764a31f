#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/zones.h"

static int32_t offset_at(const struct bw_zone *zone, const char *utc)
{
    int32_t offset;
    bw_zone_local(zone, local_time(utc), &offset, NULL);
    return offset;
}

static bool is_dst_at(const struct bw_zone *zone, const char *utc)
{
    bool is_dst;
    bw_zone_local(zone, local_time(utc), NULL, &is_dst);
    return is_dst;
}

static void test_offsets_before_between_and_after_the_changes_of_the_file(void **state)
{
    (void)state;
    struct bw_zone *berlin = zone_of("Europe/Berlin");
    assert_string_equal(bw_zone_name(berlin), "Europe/Berlin");
    assert_int_equal(offset_at(berlin, "1800-01-01T00:00"), 3208); /* local mean time, 53 min 28 s */
    assert_int_equal(offset_at(berlin, "2026-03-29T00:59:59"), 3600);
    assert_int_equal(offset_at(berlin, "2026-03-29T01:00"), 7200);
    assert_int_equal(offset_at(berlin, "2026-10-25T00:59:59"), 7200);
    assert_int_equal(offset_at(berlin, "2026-10-25T01:00"), 3600);
    assert_true(is_dst_at(berlin, "2026-07-01T00:00"));
    assert_false(is_dst_at(berlin, "2026-12-01T00:00"));
    static const char *const years[] = {"2038", "2100", "2437", "2438", "2439", "2440", "2838", "5000", "9998"};
    for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
        char summer[32], winter[32];
        snprintf(summer, sizeof summer, "%s-07-01T00:00", years[i]);
        snprintf(winter, sizeof winter, "%s-12-01T00:00", years[i]);
        assert_int_equal(offset_at(berlin, summer), 7200);
        assert_int_equal(offset_at(berlin, winter), 3600);
    }
    bw_zone_close(berlin);
}

static void test_local_times_are_unique_ambiguous_or_in_a_gap(void **state)
{
    (void)state;
    struct bw_zone *berlin = zone_of("Europe/Berlin"), *apia = zone_of("Pacific/Apia");
    const struct {
        const struct bw_zone *zone;
        const char *local;
        enum bw_zone_kind kind;
        const char *first, *last;
    } cases[] = {
        {berlin, "2026-03-29T01:59:59", BW_ZONE_UNIQUE, "2026-03-29T00:59:59", NULL},
        {berlin, "2026-03-29T02:00", BW_ZONE_GAP, "2026-03-29T01:00", NULL},
        {berlin, "2026-03-29T02:59:59", BW_ZONE_GAP, "2026-03-29T01:00", NULL},
        {berlin, "2026-03-29T03:00", BW_ZONE_UNIQUE, "2026-03-29T01:00", NULL},
        {berlin, "2026-10-25T01:59:59", BW_ZONE_UNIQUE, "2026-10-24T23:59:59", NULL},
        {berlin, "2026-10-25T02:00", BW_ZONE_AMBIGUOUS, "2026-10-25T00:00", "2026-10-25T01:00"},
        {berlin, "2026-10-25T02:59:59", BW_ZONE_AMBIGUOUS, "2026-10-25T00:59:59", "2026-10-25T01:59:59"},
        {berlin, "2026-10-25T03:00", BW_ZONE_UNIQUE, "2026-10-25T02:00", NULL},
        {berlin, "3026-03-30T02:30", BW_ZONE_UNIQUE, "3026-03-30T00:30", NULL},
        {apia, "2011-12-29T23:59:59", BW_ZONE_UNIQUE, "2011-12-30T09:59:59", NULL},
        {apia, "2011-12-30T12:00", BW_ZONE_GAP, "2011-12-30T10:00", NULL},
        {apia, "2011-12-31T00:00", BW_ZONE_UNIQUE, "2011-12-30T10:00", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bw_zone_instants found = bw_zone_to_unix(cases[i].zone, local_time(cases[i].local));
        assert_int_equal(found.kind, cases[i].kind);
        assert_int_equal(found.first_s, local_time(cases[i].first));
        assert_int_equal(found.last_s, local_time(cases[i].last ? cases[i].last : cases[i].first));
    }
    bw_zone_close(berlin);
    bw_zone_close(apia);
}

static void test_utc_needs_no_files(void **state)
{
    (void)state;
    setenv("TZDIR", "/nowhere/at/all", 1);
    struct bw_error err = {0};
    struct bw_zone *utc = bw_zone_open(BW_SLICE("UTC"), &err), *etc = bw_zone_open(BW_SLICE("Etc/UTC"), &err);
    assert_non_null(utc);
    assert_non_null(etc);
    assert_int_equal(offset_at(utc, "2026-07-01T00:00"), 0);
    assert_int_equal(bw_zone_to_unix(etc, 1234).first_s, 1234);
    assert_int_equal(bw_zone_to_unix(etc, 1234).kind, BW_ZONE_UNIQUE);
    assert_null(bw_zone_open(BW_SLICE("Europe/Berlin"), &err));
    assert_string_equal(err.code, "zone.database");
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
    assert_non_null(strstr(err.hint, "tzdata"));
    unsetenv("TZDIR");
    bw_zone_close(utc);
    bw_zone_close(etc);
    bw_zone_close(NULL);
}

static void test_names_cannot_lead_out_of_the_folder(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         "/etc/passwd",   "../../../etc/passwd", "Europe/../Europe/Berlin", "./UTC", "Europe//Berlin",          "Europe/", ".hidden/no",
        "Europe/.", "Europe Berlin", "Europe/Berlin\n",     "Europe\\Berlin",          ":UTC",  "CET-1CEST,M3.5.0,M10.5.0"};
    struct bw_error err = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(bw_zone_open(bw_slice_of(bad[i]), &err));
        assert_string_equal(err.code, "zone.name");
        assert_non_null(strstr(err.hint, "Europe/Berlin"));
    }
    assert_null(bw_zone_open((struct bw_slice){"UTC\0x", 5}, &err));
    assert_string_equal(err.code, "zone.name");
    char many[400];
    memset(many, 'a', sizeof many);
    assert_null(bw_zone_open((struct bw_slice){many, sizeof many}, &err));
    assert_string_equal(err.code, "zone.name");
    assert_null(bw_zone_open((struct bw_slice){NULL, 0}, NULL));
}

static void test_unknown_names_get_a_suggestion(void **state)
{
    (void)state;
    static const char *const meant[][2] = {{"Europe/Berln", "Europe/Berlin"}, {"europe/berlin", "Europe/Berlin"}, {"Berlin", "Europe/Berlin"},
                                           {"new_york", "America/New_York"},  {"Asia/Tokio", "Asia/Tokyo"},       {"Europe", "names are like"},
                                           {"Xyzzy", "names are like"}};
    for (size_t i = 0; i < sizeof meant / sizeof *meant; i++) {
        struct bw_error err = {0};
        assert_null(bw_zone_open(bw_slice_of(meant[i][0]), &err));
        assert_string_equal(err.code, "zone.unknown");
        if (!strstr(err.hint, meant[i][1])) fail_msg("%s: %s", meant[i][0], err.hint);
    }
}

static void test_files_that_are_no_zones_are_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"zone1970.tab", "expected 'TZif'"}, {"right/Europe/Berlin", "leap seconds"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", ZONES_FOLDER, bad[i][0]);
        struct bw_buf bytes = {0};
        struct bw_error err = {0};
        if (bw_file_read(path, 1 << 20, &bytes, NULL)) { /* not every system has them */
            assert_null(bw_zone_open(bw_slice_of(bad[i][0]), &err));
            assert_string_equal(err.code, "zone.corrupt");
            assert_non_null(strstr(err.message, bad[i][1]));
            assert_string_equal(err.file, path);
        }
        bw_buf_free(&bytes);
    }
}

int main(void)
{
    unsetenv("TZDIR");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_before_between_and_after_the_changes_of_the_file),
        cmocka_unit_test(test_local_times_are_unique_ambiguous_or_in_a_gap),
        cmocka_unit_test(test_utc_needs_no_files),
        cmocka_unit_test(test_names_cannot_lead_out_of_the_folder),
        cmocka_unit_test(test_unknown_names_get_a_suggestion),
        cmocka_unit_test(test_files_that_are_no_zones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
