/* zone.h: what the clocks of a time zone show, and when.
 *
 * A zone is read from a TZif file (RFC 8536, versions 1 to 4 with the POSIX rule at their end) below /usr/share/zoneinfo,
 * or below $TZDIR, into one immutable object: nothing here uses localtime() or tzset(), whose state belongs to the whole
 * process. Any thread may use one zone at once; the caller owns it and ends it with bw_zone_close(). "UTC" and "Etc/UTC"
 * need no file. A file is not trusted: every byte is checked, and no content can do more than give wrong times.
 *
 * Opening can fail: zone.name (not a name), zone.unknown (no such zone; the hint has a near one), zone.database (the files
 * are not installed), zone.corrupt (not a TZif file, or one that counts leap seconds), or as bw_file_read(). Questions cannot fail.
 * Times are Unix seconds; local times are local seconds (civil.h). Beyond BW_ZONE_LIMIT_S both are cut to it. */
#ifndef BW_SCHEDULE_ZONE_H
#define BW_SCHEDULE_ZONE_H
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

#define BW_ZONE_LIMIT_S 400000000000  /* about the year 14,600 */
#define BW_ZONE_OFFSET_MIN_S (-89999) /* RFC 8536, 3.2: more than 25 hours west … */
#define BW_ZONE_OFFSET_MAX_S 93599    /* … to less than 26 hours east */
#define BW_ZONE_FILE_BYTES 65536      /* larger files are refused; the largest real one has 4 kB */

struct bw_zone;
struct bw_zone *bw_zone_open(struct bw_slice name, struct bw_error *err);
/* The same from the bytes of a file, for tests and fuzzing; `name` is only remembered. Nothing is borrowed. */
struct bw_zone *bw_zone_parse(struct bw_slice name, struct bw_slice bytes, struct bw_error *err);
void bw_zone_close(struct bw_zone *zone);
const char *bw_zone_name(const struct bw_zone *zone);

/* A time in which the offset does not change: from ≤ t < until. Spans follow each other without gaps; neighbours may have one offset
 * and differ in is_dst. The first begins at -2 × BW_ZONE_LIMIT_S, the last ends at 2 × BW_ZONE_LIMIT_S. */
struct bw_zone_span {
    int64_t from_s, until_s;
    int32_t offset_s; /* local time = Unix time + offset */
    bool is_dst;      /* as the database says; in Dublin winter is the exception */
};
struct bw_zone_span bw_zone_span(const struct bw_zone *zone, int64_t unix_s);
void bw_zone_local(const struct bw_zone *zone, int64_t unix_s, int32_t *offset_s, bool *is_dst); /* either may be NULL */

enum bw_zone_kind {
    BW_ZONE_UNIQUE,    /* the clock shows this time once: first == last */
    BW_ZONE_AMBIGUOUS, /* clocks were put back: it shows it at first, and again at last */
    BW_ZONE_GAP,       /* clocks were put forward: it never shows it; first == last == the end of the gap */
};
struct bw_zone_instants {
    enum bw_zone_kind kind;
    int64_t first_s, last_s;
};
struct bw_zone_instants bw_zone_to_unix(const struct bw_zone *zone, int64_t local_s);
#endif
