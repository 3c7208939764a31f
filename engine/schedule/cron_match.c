#include "schedule/cron_match.h"
#include "schedule/civil.h"

enum { DAY_MINUTES = 1440 };

static int64_t floor_div(int64_t a, int64_t b)
{
    return bw_civil_floor_div(a, b);
}

/* A walk over the days that a rule names: months that it does not name are jumped over. */
struct days {
    const struct bw_cron *cron;
    int64_t day, year; /* day: since 1970-01-01 */
    int month, of_month, weekday;
};

static struct days days_from(const struct bw_cron *cron, int64_t day)
{
    struct bw_civil date = bw_civil_of(day * BW_CIVIL_DAY_S);
    return (struct days){cron, day, date.year, date.month, date.day, bw_civil_weekday(day)};
}

static void step(struct days *at, int days)
{
    at->day += days;
    at->weekday = (at->weekday + days) % 7;
    at->of_month += days;
    if (at->of_month <= bw_civil_days_in_month(at->year, at->month)) return;
    at->of_month = 1;
    if (++at->month > 12) {
        at->month = 1;
        at->year++;
    }
}

static bool is_named(const struct days *at)
{
    bool by_date = at->cron->days >> at->of_month & 1, by_weekday = at->cron->weekdays >> at->weekday & 1;
    return at->cron->either_day ? by_date || by_weekday : by_date && by_weekday;
}

/* Moves to the first named day from where it stands up to last_day. */
static bool seek(struct days *at, int64_t last_day)
{
    while (at->day <= last_day) {
        if (!(at->cron->months >> at->month & 1))
            step(at, bw_civil_days_in_month(at->year, at->month) - at->of_month + 1);
        else if (is_named(at))
            return true;
        else
            step(at, 1);
    }
    return false;
}

/* The first named minute of a day at or after `minute`, or -1. */
static int in_day(const struct bw_cron *cron, int minute)
{
    if (minute >= DAY_MINUTES) return -1;
    int hour = minute / 60;
    uint64_t minutes = cron->hours >> hour & 1 ? cron->minutes & ~UINT64_C(0) << minute % 60 : 0;
    if (!minutes) {
        uint32_t hours = hour < 23 ? cron->hours & UINT32_MAX << (hour + 1) : 0;
        if (!hours) return -1;
        hour = __builtin_ctz(hours);
        minutes = cron->minutes;
    }
    return hour * 60 + __builtin_ctzll(minutes);
}

/* How many named minutes of a day are before `minute`. */
static uint64_t before(const struct bw_cron *cron, int minute)
{
    int hour = minute / 60;
    uint64_t full = (uint64_t)__builtin_popcountll(cron->minutes) * (uint64_t)__builtin_popcount(cron->hours & ((1u << hour) - 1));
    if (!(cron->hours >> hour & 1)) return full;
    return full + (uint64_t)__builtin_popcountll(cron->minutes & ((UINT64_C(1) << minute % 60) - 1));
}

bool bw_cron_match(const struct bw_cron *cron, int64_t from_s, int64_t until_s, int64_t *out_s)
{
    int64_t minute = floor_div(from_s + 59, 60), last = floor_div(until_s, 60);
    if (minute > last) return false;
    int64_t first_day = floor_div(minute, DAY_MINUTES);
    struct days at = days_from(cron, first_day);
    for (; seek(&at, floor_div(last, DAY_MINUTES)); step(&at, 1)) {
        int found = in_day(cron, at.day == first_day ? (int)(minute - first_day * DAY_MINUTES) : 0);
        if (found < 0) continue;
        int64_t match = at.day * DAY_MINUTES + found;
        if (match > last) return false;
        *out_s = match * 60;
        return true;
    }
    return false;
}

uint64_t bw_cron_count(const struct bw_cron *cron, int64_t from_s, int64_t until_s)
{
    int64_t begin = floor_div(from_s + 59, 60), end = floor_div(until_s, 60) + 1; /* minutes, [begin, end) */
    if (begin >= end) return 0;
    int64_t first_day = floor_div(begin, DAY_MINUTES), last_day = floor_div(end, DAY_MINUTES);
    uint64_t count = 0;
    struct days at = days_from(cron, first_day);
    for (; seek(&at, last_day); step(&at, 1)) {
        count += at.day == last_day ? before(cron, (int)(end - last_day * DAY_MINUTES)) : before(cron, DAY_MINUTES);
        if (at.day == first_day) count -= before(cron, (int)(begin - first_day * DAY_MINUTES));
    }
    return count;
}
