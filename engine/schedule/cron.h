/* cron.h: cron rules, and when they fire in a time zone.
 *
 * A rule has five fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12 or JAN-DEC), day of week (0-7 or SUN-SAT,
 * 0 and 7 are Sunday). A field is `*` or a list of numbers, names and ranges (`1-5`, `MON-FRI`), each range and `*` with an
 * optional step (`*` followed by `/15`, `8-18/2`). Or one of @hourly @daily @weekly @monthly @yearly (also @midnight @annually).
 * Both days restricted = either matches: `0 9 13 * FRI` is each 13th and each Friday, as in Vixie's cron. A day field that begins
 * with `*`, with a step or not, does not count as restricted: then both have to match.
 *
 * Which instants: a rule names local times, "nominal" times, one a minute at most. It fires when the zone's clock first shows a
 * nominal time or is put forward past it. So each nominal time fires exactly once, in the order of the clock:
 *   - in the spring gap: at the gap's end. Several of one gap fire there in their order, each in a millisecond of its own (the
 *     gap's end, + 1 ms, + 2 ms …; a firing that is due at the gap's end itself comes last), so that one number, the
 *     time of the last firing, says which are done. A day that a zone skips is a gap too.
 *   - in the repeated hour of autumn: at its first occurrence.
 * The exception are rules that mean "each n minutes": `*` or a step in the minute field and every hour in the hour field. They
 * follow elapsed time: nothing happens in a gap because no time passes there, and in a repeated hour they fire both times.
 *
 * Pure functions on plain values, any thread. Only bw_cron_parse() can fail; an expression that would never fire is refused. */
#ifndef BW_SCHEDULE_CRON_H
#define BW_SCHEDULE_CRON_H
#include "base/buf.h"
#include "base/error.h"
#include "schedule/zone.h"
#include <stdint.h>

#define BW_CRON_TEXT_BYTES 256 /* longer expressions are refused */

struct bw_cron {
    uint64_t minutes; /* bit n: minute n */
    uint32_t hours, days, months;
    uint8_t weekdays;  /* bit 0: Sunday */
    bool either_day;   /* day of month and day of week are both restricted: one of them is enough */
    bool elapsed_time; /* "each n minutes" */
};

/* Error codes: cron.syntax, cron.never. Messages name the field and the character in the text, counted from 1; `out` is only set on success. */
bool bw_cron_parse(struct bw_slice text, struct bw_cron *out, struct bw_error *err);

#define BW_CRON_NOMINAL 32
struct bw_firing {
    int64_t at_ms; /* Unix time */
    /* The local time that was meant, "2026-03-29T02:30": a firing's identity for whoever must not do it twice. Elapsed-time rules
     * add the offset to times that the clock shows twice: "2026-10-25T02:15+02:00" and "2026-10-25T02:15+01:00". */
    char nominal[BW_CRON_NOMINAL];
};

/* The first firing strictly after after_ms. False only after the year 9999 (or a hundred years without one, which no
 * real zone has). From wherever the question is asked, the answers are the same firings. */
bool bw_cron_next(const struct bw_cron *cron, const struct bw_zone *zone, int64_t after_ms, struct bw_firing *out);
/* What was missed: the newest firing in (after_ms, until_ms] and how many there are, exact and without walking through them.
 * False if there is none: then *newest is as it was and *missed 0. */
bool bw_cron_latest(const struct bw_cron *cron, const struct bw_zone *zone, int64_t after_ms, int64_t until_ms, struct bw_firing *newest,
                    uint64_t *missed);
#endif
