#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/zones.h"

static void test_fields_as_users_write_them(void **state)
{
    (void)state;
    struct bw_cron cron = rule_of(" 5,10-12\t8-18/5  */10 jan,Mar-MAY MON-FRI ");
    assert_int_equal(cron.minutes, 1u << 5 | 1u << 10 | 1u << 11 | 1u << 12);
    assert_int_equal(cron.hours, 1u << 8 | 1u << 13 | 1u << 18);
    assert_int_equal(cron.days, 1u << 1 | 1u << 11 | 1u << 21 | 1u << 31);
    assert_int_equal(cron.months, 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5);
    assert_int_equal(cron.weekdays, 0x3e);
    assert_false(cron.either_day);
    assert_true(rule_of("0 0 1 * SUN").either_day);
    assert_false(rule_of("0 0 * * SUN").either_day);
    assert_false(rule_of("0 0 1 * */2").either_day);
    assert_true(rule_of("0 0 1\n* MON\r\n").either_day); /* as a YAML block brings it */
    assert_false(rule_of("0 0 1\n*\n*\n").either_day);
    assert_int_equal(rule_of("00 05 * * *").hours, 1u << 5);
}

static void test_seven_is_sunday(void **state)
{
    (void)state;
    assert_int_equal(rule_of("0 0 * * 7").weekdays, 1);
    assert_int_equal(rule_of("0 0 * * 0").weekdays, 1);
    assert_int_equal(rule_of("0 0 * * FRI-SUN").weekdays, 0x61);
    assert_int_equal(rule_of("0 0 * * 5-7").weekdays, 0x61);
    assert_int_equal(rule_of("0 0 * * SUN-TUE").weekdays, 0x07);
    assert_int_equal(rule_of("0 0 * * 0-7").weekdays, 0x7f);
    assert_int_equal(rule_of("0 0 * * *").weekdays, 0x7f);
    assert_int_equal(rule_of("0 0 * * */2").weekdays, 0x55);
}

static void test_macros_are_the_rules_they_stand_for(void **state)
{
    (void)state;
    static const char *const same[][2] = {{"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
                                          {"@monthly", "0 0 1 * *"}, {" @Yearly ", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct bw_cron a = rule_of(same[i][0]), b = rule_of(same[i][1]);
        assert_int_equal(a.minutes, b.minutes);
        assert_int_equal(a.hours, b.hours);
        assert_int_equal(a.days, b.days);
        assert_int_equal(a.months, b.months);
        assert_int_equal(a.weekdays, b.weekdays);
        assert_int_equal(a.elapsed_time, b.elapsed_time);
        assert_int_equal(a.either_day, b.either_day);
    }
}

static void test_errors_say_where_and_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message, *hint; /* parts of them */
    } bad[] = {
        {"61 * * * *", "the minute of a cron rule, character 1: found '61', expected 0 to 59", ""},
        {"0 24 * * *", "the hour of a cron rule, character 3: found '24', expected 0 to 23", ""},
        {"0 0 0 * *", "the day of month of a cron rule, character 5: found '0', expected 1 to 31", ""},
        {"0 0 32 * *", "character 5: found '32'", ""},
        {"0 0 1 13 *", "character 7: found '13', expected 1 to 12 or JAN to DEC", ""},
        {"0 0 * * 8", "character 9: found '8', expected 0 to 7 or SUN to SAT", ""},
        {"0 0 * * MONDAY", "found 'MONDAY', expected 0 to 7 or SUN to SAT", "three letters"},
        {"0 0 * MON *", "the month of a cron rule, character 7: found 'MON'", "JAN"},
        {"JAN 0 * * *", "the minute of a cron rule, character 1: found 'JAN'", ""},
        {"0 0 ? * MON", "character 5: found '?'", "write * for any day"},
        {"0 0 L * *", "character 5: found 'L'", "not supported"},
        {"0 0 15W * *", "character 5: found '15W'", ""},
        {"0 0 * * MON#2", "character 12: found '#2'", "not supported"},
        {"5/10 * * * *", "character 2: found '/', expected a step behind * or a range only", "5-59/10"},
        {"*/0 * * * *", "character 3: found '0', expected a step of 1 or more", ""},
        {"*/ * * * *", "character 3: found nothing, expected a step of 1 or more", ""},
        {"*/90 * * * *", "character 3: found '90', expected a step within the field", "begins anew"},
        {"*/60 * * * *", "expected a step within the field", ""},
        {"* 22-6 * * *", "character 6: found '6', expected a range that does not end before it begins", "22-23,0-6"},
        {"1- * * * *", "character 3: found nothing, expected 0 to 59", ""},
        {"-1 * * * *", "character 1: found '-', expected 0 to 59", ""},
        {"1, * * * *", "character 3: found nothing", ""},
        {",1 * * * *", "character 1: found ','", ""},
        {"1,,2 * * * *", "character 3: found ','", ""},
        {"** * * * *", "character 2: found '*', expected ','", ""},
        {"*-5 * * * *", "character 2: found '-'", ""},
        {"1-5-9 * * * *", "character 4: found '-'", ""},
        {"1/2/3 * * * *", "character 2: found '/'", ""},
        {"*/2/3 * * * *", "character 4: found '/'", ""},
        {"99999999999999999999 * * * *", "character 1: found '99999999999999999999'", ""},
        {"*/99999999999999999999 * * * *", "character 3: found '99999999999999999999'", ""},
        {"1.5 * * * *", "character 2: found '.5'", ""},
        {"+1 * * * *", "character 1: found '+1'", ""},
        {"", "five fields, this one has 0", "minute hour"},
        {"0 2 * *", "five fields, this one has 4", "minute hour"},
        {"0 30 2 * * *", "a field for seconds (or years) is not supported", "leave the seconds out"},
        {"0 30 2 * * * 2026", "five fields, this one has 7", ""},
        {"@dialy", "'@dialy' is no cron rule", "did you mean '@daily'?"},
        {"@reboot", "'@reboot' is no cron rule", "@hourly"},
        {"@daily 5", "'@daily 5' is no cron rule", ""},
        {"0 0 30 2 *", "never fires", "check the day"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bw_error err = {0};
        struct bw_cron cron = {.minutes = 77};
        assert_false(bw_cron_parse(bw_slice_of(bad[i].text), &cron, &err));
        assert_int_equal(cron.minutes, 77);
        assert_string_equal(err.code, strstr(err.message, "never") ? "cron.never" : "cron.syntax");
        if (!strstr(err.message, bad[i].message) || !strstr(err.hint, bad[i].hint))
            fail_msg("'%s': '%s' (%s), expected '%s' (%s)", bad[i].text, err.message, err.hint, bad[i].message, bad[i].hint);
        assert_false(bw_cron_parse(bw_slice_of(bad[i].text), &cron, NULL));
    }
}

static void test_what_can_never_fire_is_refused(void **state)
{
    (void)state;
    static const char *const never[] = {"0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30-31 FEB *", "0 0 31 APR */2"};
    static const char *const rare[] = {"0 0 29 2 *", "0 0 30 1,2 *", "0 0 30 2 MON", "0 0 29 2 */6", "0 0 29-31 2 *"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        struct bw_error err = {0};
        struct bw_cron cron;
        assert_false(bw_cron_parse(bw_slice_of(never[i]), &cron, &err));
        assert_string_equal(err.code, "cron.never");
    }
    struct bw_zone *utc = zone_of("UTC");
    for (size_t i = 0; i < sizeof rare / sizeof *rare; i++) {
        struct bw_cron cron = rule_of(rare[i]);
        struct bw_firing firing;
        assert_true(bw_cron_next(&cron, utc, 0, &firing));
    }
    bw_zone_close(utc);
}

/* No text does harm: what is accepted fires, what is not has an error. Copies of exact size let the sanitizer see reads beyond the end. */
static void test_any_text_is_accepted_or_refused(void **state)
{
    (void)state;
    static const char letters[] = "0123456789*,-/ @?\tJANMONdaily#L\0\xff";
    uint64_t seed = 3;
    struct bw_zone *utc = zone_of("UTC");
    int accepted = 0;
    for (int i = 0; i < 20000; i++) {
        char text[40];
        size_t len = (size_t)snprintf(text, sizeof text, "%s", i % 2 ? "*/15 8-18 1,15 JAN-MAR MON" : "0 0 * * *");
        for (uint64_t edits = next_random(&seed) % 4; edits > 0; edits--)
            text[next_random(&seed) % len] = letters[next_random(&seed) % sizeof letters];
        len -= next_random(&seed) % 4 == 0 ? next_random(&seed) % len : 0;
        char *copy = malloc(len);
        memcpy(copy, text, len);
        struct bw_cron cron;
        struct bw_error err = {0};
        struct bw_firing firing;
        if (bw_cron_parse((struct bw_slice){copy, len}, &cron, &err)) {
            accepted++;
            assert_true(bw_cron_next(&cron, utc, 1800000000000, &firing));
        } else {
            assert_true(err.code[0] != '\0');
        }
        free(copy);
    }
    assert_in_range(accepted, 2000, 18000);
    struct bw_cron cron;
    struct bw_error err = {0};
    char many[BW_CRON_TEXT_BYTES + 2];
    memset(many, ' ', sizeof many);
    memcpy(many, "* * * * *", 9);
    assert_true(bw_cron_parse((struct bw_slice){many, BW_CRON_TEXT_BYTES}, &cron, &err));
    assert_false(bw_cron_parse((struct bw_slice){many, BW_CRON_TEXT_BYTES + 1}, &cron, &err));
    bw_zone_close(utc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_as_users_write_them),          cmocka_unit_test(test_seven_is_sunday),
        cmocka_unit_test(test_macros_are_the_rules_they_stand_for), cmocka_unit_test(test_errors_say_where_and_what_was_expected),
        cmocka_unit_test(test_what_can_never_fire_is_refused),      cmocka_unit_test(test_any_text_is_accepted_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
