/* Property 26 of the semantics: for all zones and years each nominal local time fires exactly once, wherever the walk begins.
 *
 * The oracle is a clock that runs: it asks the zone for the offset at each step and remembers the highest time shown so far. It knows
 * nothing of spans, gaps or cron fields. All day it would run too long, so it runs around each change; rules with few firings are
 * followed over whole decades. BELLWIRE_DEEP=1 follows the hourly rule and the minute steps over whole decades as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/zones.h"

struct rule {
    const char *text;
    bool (*names)(const struct bw_civil *local, int weekday);
    bool elapsed;
    int64_t grid_s, phase_s; /* no other local times than phase + n × grid can be meant */
};

static bool daily(const struct bw_civil *local, int weekday)
{
    (void)weekday;
    return local->hour == 2 && local->minute == 30;
}

static bool weekly(const struct bw_civil *local, int weekday)
{
    return weekday == 0 && local->hour == 0 && local->minute == 0;
}

static bool monthly(const struct bw_civil *local, int weekday)
{
    (void)weekday;
    return local->day == 1 && local->hour == 0 && local->minute == 0;
}

static bool hourly(const struct bw_civil *local, int weekday)
{
    (void)weekday;
    return local->minute == 0;
}

static bool quarters(const struct bw_civil *local, int weekday)
{
    (void)weekday;
    return local->minute % 15 == 0;
}

static bool dense(const struct bw_civil *local, int weekday)
{
    (void)weekday;
    return local->hour < 23 && local->minute % 7 == 0;
}

static const struct rule rules[] = {
    {"30 2 * * *", daily, false, 86400, 9000}, {"0 0 * * SUN", weekly, false, 86400, 0}, {"0 0 1 * *", monthly, false, 86400, 0},
    {"0 * * * *", hourly, false, 3600, 0},     {"*/15 * * * *", quarters, true, 900, 0}, {"*/7 0-22 * * *", dense, false, 60, 0},
};
enum { RULES = sizeof rules / sizeof *rules, SPARSE = 3 };
static const char *const decades[][2] = {{"2019-01-01T00:00", "2029-01-01T00:00"}, {"1938-01-01T00:00", "1948-01-01T00:00"}};

static int32_t offset_at(const struct bw_zone *zone, int64_t at)
{
    int32_t offset;
    bw_zone_local(zone, at, &offset, NULL);
    return offset;
}

static bool is_named(const struct rule *rule, int64_t local_s)
{
    struct bw_civil local = bw_civil_of(local_s);
    return rule->names(&local, bw_civil_weekday(bw_civil_floor_div(local_s, BW_CIVIL_DAY_S)));
}

struct due {
    int64_t at_ms, local_s;
};

/* What a clock that runs from `from` to `until` sees, in steps that divide every offset and change in that time. */
static size_t run_clock(const struct rule *rule, const struct bw_zone *zone, int64_t from, int64_t until, int step, struct due *out, size_t max)
{
    int64_t highest = from + offset_at(zone, from);
    size_t count = 0;
    for (int64_t at = from + step; at <= until; at += step) {
        int64_t shown = at + offset_at(zone, at), first = rule->elapsed ? shown : highest + 1;
        if (first <= shown)
            for (int64_t local = bw_civil_floor_div(first + 59, 60) * 60, rank = 0; local <= shown; local += 60)
                if (is_named(rule, local)) {
                    assert_true(count < max);
                    out[count++] = (struct due){at * 1000 + rank++, local};
                }
        if (shown > highest) highest = shown;
    }
    return count;
}

static void same_as_the_clock(const struct rule *rule, const struct bw_zone *zone, int64_t change, uint64_t *seed)
{
    static struct due due[4096];
    struct bw_cron cron = rule_of(rule->text);
    int32_t before = offset_at(zone, change - 1), after = offset_at(zone, change);
    int64_t jump = after > before ? after - before : before - after, from = change - jump - 7200, until = change + jump + 7200;
    /* Local mean times and changes at odd seconds need a clock that ticks each second. */
    int step = before % 60 || after % 60 || change % 60 ? 1 : 60;
    if (step == 1) from = change - 1800, until = change + jump + 1800;
    size_t count = run_clock(rule, zone, from, until, step, due, sizeof due / sizeof *due);
    int64_t at = from * 1000;
    for (size_t i = 0; i < count; i++) {
        struct bw_firing firing = {0};
        char nominal[BW_CLOCK_TEXT];
        bw_clock_text(due[i].local_s * 1000, nominal);
        bool same = bw_cron_next(&cron, zone, at, &firing) && firing.at_ms == due[i].at_ms && strncmp(firing.nominal, nominal, 16) == 0;
        if (!same)
            fail_msg("%s '%s' after %lld: %s at %lld, expected %s at %lld", bw_zone_name(zone), rule->text, (long long)at, firing.nominal,
                     (long long)firing.at_ms, nominal, (long long)due[i].at_ms);
        /* From any point between two firings the later one comes: a restart changes nothing. */
        int64_t between = at + (int64_t)(next_random(seed) % (uint64_t)(due[i].at_ms - at));
        if (!bw_cron_next(&cron, zone, between, &firing) || firing.at_ms != due[i].at_ms)
            fail_msg("%s '%s' after %lld: not the same firing", bw_zone_name(zone), rule->text, (long long)between);
        at = due[i].at_ms;
    }
    struct bw_firing newest;
    uint64_t missed;
    /* What was missed since and until any moment, the milliseconds of a gap's end included. */
    int64_t since = from * 1000 + (int64_t)(next_random(seed) % (uint64_t)((until - from) * 1000)), now = until * 1000;
    if (next_random(seed) % 2) since = change * 1000 + (int64_t)(next_random(seed) % 20);
    if (next_random(seed) % 2) now = change * 1000 + (int64_t)(next_random(seed) % 20);
    size_t expected = 0, last = 0;
    for (size_t i = 0; i < count; i++)
        if (due[i].at_ms > since && due[i].at_ms <= now) expected++, last = i;
    bool any = bw_cron_latest(&cron, zone, since, now, &newest, &missed);
    if (any != (expected > 0) || missed != expected || (any && newest.at_ms != due[last].at_ms))
        fail_msg("%s '%s' from %lld to %lld: %llu missed, expected %zu", bw_zone_name(zone), rule->text, (long long)since, (long long)now,
                 (unsigned long long)missed, expected);
}

static void test_firings_around_each_change_are_those_of_a_running_clock(void **state)
{
    (void)state;
    struct zones zones;
    uint64_t seed = 11, changes = 0;
    find_zones(&zones);
    if (zones.count == 0) skip();
    for (size_t z = 0; z < zones.count; z++) {
        struct bw_zone *zone = zone_of(zones.names[z]);
        for (int d = 0; d < 2; d++) {
            int64_t end = local_time(decades[d][1]);
            for (int64_t at = local_time(decades[d][0]); (at = bw_zone_span(zone, at).until_s) < end; changes++)
                for (int r = 0; r < RULES; r++) same_as_the_clock(&rules[r], zone, at, &seed);
        }
        bw_zone_close(zone);
    }
    print_message("%zu zones, %d changes\n", zones.count, (int)changes);
    assert_true(changes > 3000);
    free_zones(&zones);
}

/* Over a whole decade: nominal times are all that the calendar has, in order, each at its instant. */
static uint64_t follow(const struct rule *rule, const struct bw_zone *zone, const char *from, const char *until)
{
    struct bw_cron cron = rule_of(rule->text);
    int64_t at = local_time(from) * 1000, end = local_time(until), begin = at, last = at / 1000 + offset_at(zone, at / 1000);
    uint64_t count = 0, missed;
    struct bw_firing firing = {0}, newest;
    while (bw_cron_next(&cron, zone, at, &firing) && firing.at_ms <= end * 1000) {
        int64_t local = local_time(firing.nominal);
        struct bw_zone_instants instants = bw_zone_to_unix(zone, local);
        bool second = rule->elapsed && instants.kind == BW_ZONE_AMBIGUOUS && firing.at_ms == instants.last_s * 1000;
        bool in_time = second || (firing.at_ms >= instants.first_s * 1000 && firing.at_ms < instants.first_s * 1000 + 1500);
        if (firing.at_ms <= at || !in_time || !is_named(rule, local))
            fail_msg("%s '%s': %s at %lld", bw_zone_name(zone), rule->text, firing.nominal, (long long)firing.at_ms);
        if (!rule->elapsed) { /* none is left out, none comes twice */
            for (last = (bw_civil_floor_div(last - rule->phase_s, rule->grid_s) + 1) * rule->grid_s + rule->phase_s; last < local;
                 last += rule->grid_s)
                if (is_named(rule, last))
                    fail_msg("%s '%s': nothing at %lld before %s", bw_zone_name(zone), rule->text, (long long)last, firing.nominal);
            assert_int_equal(last, local);
        }
        at = firing.at_ms;
        count++;
    }
    assert_true(bw_cron_latest(&cron, zone, begin, end * 1000, &newest, &missed));
    if (missed != count || newest.at_ms != at)
        fail_msg("%s '%s': %llu missed, %llu walked", bw_zone_name(zone), rule->text, (unsigned long long)missed, (unsigned long long)count);
    return count;
}

static void test_each_nominal_time_of_a_decade_fires_once_in_order(void **state)
{
    (void)state;
    struct zones zones;
    uint64_t firings = 0;
    bool deep = getenv("BELLWIRE_DEEP");
    find_zones(&zones);
    if (zones.count == 0) skip();
    for (size_t z = 0; z < zones.count; z++) {
        struct bw_zone *zone = zone_of(zones.names[z]);
        bool sample = strcmp(zones.names[z], "Europe/Berlin") == 0 || strcmp(zones.names[z], "Australia/Lord_Howe") == 0;
        for (int d = 0; d < 2; d++)
            for (int r = 0; r < (deep || (sample && d == 0) ? SPARSE + 2 : SPARSE); r++)
                firings += follow(&rules[r], zone, decades[d][0], decades[d][1]);
        bw_zone_close(zone);
    }
    print_message("%zu zones, %llu firings\n", zones.count, (unsigned long long)firings);
    free_zones(&zones);
}

int main(void)
{
    unsetenv("TZDIR");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_firings_around_each_change_are_those_of_a_running_clock),
        cmocka_unit_test(test_each_nominal_time_of_a_decade_fires_once_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
