/* When a rule fires: the walk from span to span of a zone (zone.h), in each of which local time is Unix time + a constant.
 *
 * A span contributes a range of local minutes. For an elapsed-time rule those that its clock shows; otherwise those that no
 * clock has shown or passed before: from one second above the highest local time of all spans before, which takes in the gap in
 * front of the span and leaves out what is repeated. Either way a firing is at the span's begin at the earliest. */
#include "schedule/civil.h"
#include "schedule/cron.h"
#include "schedule/cron_match.h"
#include <stdio.h>

enum {
    /* Firings that share a gap's end are spread over milliseconds, at most one for each minute of 51 hours: about 3 s. A walk that
     * begins this much earlier sees all of them and gives each the millisecond that it has in any other walk. */
    SPREAD_S = 5,
    REACH_S = BW_ZONE_OFFSET_MAX_S - BW_ZONE_OFFSET_MIN_S, /* what is further back showed only lower local times */
    SEARCH_YEARS = 100,
};

struct walk {
    const struct bw_cron *cron;
    const struct bw_zone *zone;
    struct bw_zone_span span;
    int64_t highest_s;       /* the highest local second shown before this span */
    int64_t next_s, local_s; /* where the search goes on, and the firing found; local seconds */
    int64_t last_ms;         /* when the previous firing was, INT64_MIN if none */
    int64_t end_s;           /* give up; Unix seconds */
};

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t last_local(const struct bw_zone_span *span)
{
    return span->until_s - 1 + span->offset_s;
}

/* The first local second that belongs to the walk's span. */
static int64_t first_local(const struct walk *walk)
{
    return walk->cron->elapsed_time ? walk->span.from_s + walk->span.offset_s : walk->highest_s + 1;
}

/* Firings after `after_s`, found one by one with advance(). */
static struct walk walk_from(const struct bw_cron *cron, const struct bw_zone *zone, int64_t after_s)
{
    struct walk walk = {.cron = cron, .zone = zone, .span = bw_zone_span(zone, after_s), .highest_s = INT64_MIN / 2, .last_ms = INT64_MIN};
    int64_t at = walk.span.from_s - REACH_S;
    while (at < walk.span.from_s) {
        struct bw_zone_span earlier = bw_zone_span(zone, at);
        if (earlier.from_s >= walk.span.from_s) break; /* the first span of all */
        walk.highest_s = max(walk.highest_s, last_local(&earlier));
        at = earlier.until_s;
    }
    walk.next_s = max(first_local(&walk), after_s + walk.span.offset_s + 1);
    walk.end_s = min(after_s + (int64_t)SEARCH_YEARS * 366 * BW_CIVIL_DAY_S, bw_civil_days(BW_CIVIL_YEAR_MAX, 12, 30) * BW_CIVIL_DAY_S);
    return walk;
}

static void enter_next_span(struct walk *walk)
{
    walk->highest_s = max(walk->highest_s, last_local(&walk->span));
    walk->span = bw_zone_span(walk->zone, walk->span.until_s);
    walk->next_s = first_local(walk);
}

static bool advance(struct walk *walk)
{
    for (;;) {
        int64_t until = min(last_local(&walk->span), walk->end_s + walk->span.offset_s);
        if (bw_cron_match(walk->cron, walk->next_s, until, &walk->local_s)) break;
        if (walk->span.until_s > walk->end_s) return false;
        enter_next_span(walk);
    }
    int64_t at_s = max(walk->span.from_s, walk->local_s - walk->span.offset_s);
    walk->next_s = walk->local_s + 1;
    walk->last_ms = max(at_s * 1000, walk->last_ms + 1);
    return true;
}

static void describe(const struct walk *walk, struct bw_firing *out)
{
    struct bw_civil local = bw_civil_of(walk->local_s);
    *out = (struct bw_firing){.at_ms = walk->last_ms};
    int len = snprintf(out->nominal, sizeof out->nominal, "%04u-%02u-%02uT%02u:%02u", (unsigned)local.year % 10000, (unsigned)local.month % 100,
                       (unsigned)local.day % 100, (unsigned)local.hour % 100, (unsigned)local.minute % 100);
    if (!walk->cron->elapsed_time || bw_zone_to_unix(walk->zone, walk->local_s).kind != BW_ZONE_AMBIGUOUS) return;
    unsigned offset = (unsigned)(walk->span.offset_s < 0 ? -walk->span.offset_s : walk->span.offset_s);
    char sign = walk->span.offset_s < 0 ? '-' : '+', *end = out->nominal + len;
    size_t space = sizeof out->nominal - (size_t)len;
    if (offset % 60) /* local mean times of the 19th century */
        snprintf(end, space, "%c%02u:%02u:%02u", sign, offset / 3600 % 100, offset / 60 % 60, offset % 60);
    else
        snprintf(end, space, "%c%02u:%02u", sign, offset / 3600 % 100, offset / 60 % 60);
}

/* Cuts a time to the years that civil.h knows, with room for what is looked up before and after it. */
static int64_t within_calendar(int64_t time_ms)
{
    int64_t first = bw_civil_days(BW_CIVIL_YEAR_MIN, 1, 5), last = bw_civil_days(BW_CIVIL_YEAR_MAX, 12, 31);
    return max(first * BW_CIVIL_DAY_S * 1000, min(last * BW_CIVIL_DAY_S * 1000, time_ms));
}

static int64_t settled_before(int64_t time_ms)
{
    return bw_civil_floor_div(time_ms, 1000) - SPREAD_S;
}

bool bw_cron_next(const struct bw_cron *cron, const struct bw_zone *zone, int64_t after_ms, struct bw_firing *out)
{
    after_ms = within_calendar(after_ms);
    struct walk walk = walk_from(cron, zone, settled_before(after_ms));
    while (advance(&walk)) {
        if (walk.last_ms <= after_ms) continue;
        describe(&walk, out);
        return true;
    }
    return false;
}

/* How many firings belong to seconds in (after_s, until_s], those of a gap to its end. */
static uint64_t count_between(const struct bw_cron *cron, const struct bw_zone *zone, int64_t after_s, int64_t until_s)
{
    uint64_t count = 0;
    struct walk walk = walk_from(cron, zone, after_s);
    for (; walk.span.until_s <= until_s; enter_next_span(&walk)) count += bw_cron_count(cron, walk.next_s, last_local(&walk.span));
    return count + bw_cron_count(cron, walk.next_s, until_s + walk.span.offset_s);
}

/* Firings in (after_ms, until_ms] that a walk from `from_s` finds; *newest is the last of them. */
static uint64_t walk_between(struct walk walk, int64_t after_ms, int64_t until_ms, struct bw_firing *newest)
{
    struct walk last = walk;
    uint64_t count = 0;
    while (advance(&walk) && walk.last_ms <= until_ms) {
        if (walk.last_ms <= after_ms) continue;
        last = walk;
        count++;
    }
    if (count && newest) describe(&last, newest);
    return count;
}

bool bw_cron_latest(const struct bw_cron *cron, const struct bw_zone *zone, int64_t after_ms, int64_t until_ms, struct bw_firing *newest,
                    uint64_t *missed)
{
    after_ms = within_calendar(after_ms);
    until_ms = within_calendar(until_ms);
    *missed = 0;
    if (after_ms >= until_ms) return false;
    int64_t after_s = settled_before(after_ms), until_s = settled_before(until_ms);
    uint64_t since_settled = count_between(cron, zone, after_s, until_s);
    uint64_t done = walk_between(walk_from(cron, zone, after_s), INT64_MIN, after_ms, NULL);
    uint64_t fresh = walk_between(walk_from(cron, zone, until_s), INT64_MIN, until_ms, NULL);
    *missed = since_settled + fresh - done;
    if (*missed == 0) return false;
    /* Twice as far back each time: the walk that finds it meets at most twice the firings that it must. */
    for (int64_t back_s = 60;; back_s *= 2) {
        bool all = until_s - back_s <= after_s;
        if (walk_between(walk_from(cron, zone, all ? after_s : until_s - back_s), after_ms, until_ms, newest) > 0 || all) return true;
    }
}
