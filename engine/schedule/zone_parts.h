/* zone_parts.h: how zone.c, tzif.c and zone_rule.c share a zone while it is built. Not for other rooms.
 *
 * A zone is a list of changes in strictly ascending time; the first stands at INT64_MIN, so each time has one. Where the clocks
 * follow a rule for ever, the list holds a little more than one 400-year cycle of the calendar, and repeats_s is the time from
 * which on a question is moved back by whole cycles. */
#ifndef BW_SCHEDULE_ZONE_PARTS_H
#define BW_SCHEDULE_ZONE_PARTS_H
#include "schedule/zone.h"

#define ZONE_CYCLE_S 12622780800 /* 400 years = 146,097 days = 20,871 weeks */

struct zone_change {
    int64_t at_s;
    int32_t offset_s;
    bool is_dst;
};

struct bw_zone {
    char *name;
    struct zone_change *changes;
    size_t count, capacity;
    int64_t repeats_s; /* INT64_MAX: never */
};

bool bw_zone_add_change(struct bw_zone *zone, int64_t at_s, int32_t offset_s,
                        bool is_dst); /* false without memory; one at the same time is replaced */
bool bw_zone_read_tzif(struct bw_zone *zone, struct bw_slice bytes, struct bw_error *err);
/* Adds what the POSIX rule at a file's end says about the time after the last change. */
bool bw_zone_add_rule(struct bw_zone *zone, struct bw_slice rule, struct bw_error *err);
void bw_zone_unknown(struct bw_slice name, const char *folder, struct bw_error *err); /* fills err, looks for a near name */
#endif
