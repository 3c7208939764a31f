#include "schedule/zone.h"
#include "base/file.h"
#include "schedule/zone_parts.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { NAME_MAX_BYTES = 64 };

static int64_t cut(int64_t seconds, int64_t limit)
{
    return seconds < -limit ? -limit : seconds > limit ? limit : seconds;
}

bool bw_zone_add_change(struct bw_zone *zone, int64_t at_s, int32_t offset_s, bool is_dst)
{
    struct zone_change change = {at_s, offset_s, is_dst};
    if (zone->count && zone->changes[zone->count - 1].at_s == at_s) {
        zone->changes[zone->count - 1] = change;
        return true;
    }
    if (zone->count == zone->capacity) {
        size_t capacity = zone->capacity ? zone->capacity * 2 : 32;
        struct zone_change *changes = realloc(zone->changes, capacity * sizeof *changes);
        if (!changes) return false;
        zone->changes = changes;
        zone->capacity = capacity;
    }
    zone->changes[zone->count++] = change;
    return true;
}

/* The last change at or before unix_s; the first one stands at INT64_MIN. */
static size_t find(const struct bw_zone *zone, int64_t unix_s)
{
    size_t low = 0, high = zone->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->changes[middle].at_s <= unix_s)
            low = middle;
        else
            high = middle;
    }
    return low;
}

struct bw_zone_span bw_zone_span(const struct bw_zone *zone, int64_t unix_s)
{
    const int64_t edge = 2 * BW_ZONE_LIMIT_S;
    int64_t shift = 0;
    unix_s = cut(unix_s, BW_ZONE_LIMIT_S);
    if (unix_s >= zone->repeats_s) shift = ((unix_s - zone->repeats_s) / ZONE_CYCLE_S + 1) * ZONE_CYCLE_S;
    size_t i = find(zone, unix_s - shift);
    int64_t from = cut(zone->changes[i].at_s, edge), until = i + 1 < zone->count ? cut(zone->changes[i + 1].at_s, edge) : edge;
    return (struct bw_zone_span){cut(from + shift, edge), cut(until + shift, edge), zone->changes[i].offset_s, zone->changes[i].is_dst};
}

void bw_zone_local(const struct bw_zone *zone, int64_t unix_s, int32_t *offset_s, bool *is_dst)
{
    struct bw_zone_span span = bw_zone_span(zone, unix_s);
    if (offset_s) *offset_s = span.offset_s;
    if (is_dst) *is_dst = span.is_dst;
}

struct bw_zone_instants bw_zone_to_unix(const struct bw_zone *zone, int64_t local_s)
{
    struct bw_zone_instants found = {.kind = BW_ZONE_GAP};
    int matches = 0;
    bool passed = false; /* a jump over local_s was seen: where the gap ends if nothing shows local_s itself */
    local_s = cut(local_s, BW_ZONE_LIMIT_S);
    /* Only spans that overlap [earliest, latest] can show local_s or jump over it. */
    const int64_t earliest = local_s - BW_ZONE_OFFSET_MAX_S, latest = local_s - BW_ZONE_OFFSET_MIN_S;
    struct bw_zone_span span = bw_zone_span(zone, earliest);
    for (;; span = bw_zone_span(zone, span.until_s)) {
        int64_t at = local_s - span.offset_s;
        if (at >= span.from_s && at < span.until_s) {
            if (matches++ == 0) found.first_s = at;
            found.last_s = at;
        } else if (at < span.from_s && !passed && matches == 0) {
            passed = true;
            found.first_s = found.last_s = span.from_s;
        }
        if (span.until_s > latest || span.until_s >= BW_ZONE_LIMIT_S) break;
    }
    if (matches) found.kind = found.first_s == found.last_s ? BW_ZONE_UNIQUE : BW_ZONE_AMBIGUOUS;
    return found;
}

const char *bw_zone_name(const struct bw_zone *zone)
{
    return zone->name;
}

void bw_zone_close(struct bw_zone *zone)
{
    if (!zone) return;
    free(zone->name);
    free(zone->changes);
    free(zone);
}

static struct bw_zone *create(struct bw_slice name, struct bw_error *err)
{
    struct bw_zone *zone = calloc(1, sizeof *zone);
    if (zone) zone->name = bw_slice_dup(name);
    if (!zone || !zone->name) {
        bw_error_set(err, "memory", "no memory for a time zone");
        free(zone);
        return NULL;
    }
    zone->repeats_s = INT64_MAX;
    return zone;
}

struct bw_zone *bw_zone_parse(struct bw_slice name, struct bw_slice bytes, struct bw_error *err)
{
    struct bw_zone *zone = create(name, err);
    if (zone && !bw_zone_read_tzif(zone, bytes, err)) {
        bw_zone_close(zone);
        zone = NULL;
    }
    return zone;
}

/* A name becomes a path below the folder: it must not lead out of it, and what is no name is told without looking. */
static bool check_name(struct bw_slice name, struct bw_error *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/.";
    bool good = name.len > 0 && name.len <= NAME_MAX_BYTES && name.ptr[name.len - 1] != '/';
    for (size_t i = 0; good && i < name.len; i++) {
        bool begins = i == 0 || name.ptr[i - 1] == '/';
        good = name.ptr[i] && strchr(letters, name.ptr[i]) && !(begins && (name.ptr[i] == '.' || name.ptr[i] == '/'));
    }
    if (good) return true;
    bw_error_set(err, "zone.name", "'%.*s' is not the name of a time zone", (int)(name.len > 64 ? 64 : name.len), name.ptr ? name.ptr : "");
    bw_error_hint(err, "names are like Europe/Berlin, America/New_York or UTC");
    return false;
}

static bool is_missing(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) return errno == ENOENT || errno == ENOTDIR;
    return S_ISDIR(info.st_mode); /* "Europe" is no zone either */
}

struct bw_zone *bw_zone_open(struct bw_slice name, struct bw_error *err)
{
    struct bw_zone *zone = NULL;
    struct bw_buf bytes = {0};
    char *text = NULL, *path = NULL;
    if (!check_name(name, err)) return NULL;
    if (bw_slice_is(name, "UTC") || bw_slice_is(name, "Etc/UTC")) {
        zone = create(name, err);
        if (!zone || bw_zone_add_change(zone, INT64_MIN, 0, false)) return zone;
        bw_error_set(err, "memory", "no memory for a time zone");
        bw_zone_close(zone);
        return NULL;
    }
    const char *folder = getenv("TZDIR");
    if (!folder || !*folder) folder = "/usr/share/zoneinfo";
    text = bw_slice_dup(name);
    path = text ? bw_file_join(folder, text) : NULL;
    if (!path) {
        bw_error_set(err, "memory", "no memory for a time zone");
    } else if (is_missing(path)) {
        bw_zone_unknown(name, folder, err);
    } else if (bw_file_read(path, BW_ZONE_FILE_BYTES, &bytes, err)) {
        zone = bw_zone_parse(name, bw_buf_slice(&bytes), err);
        if (!zone) bw_error_at(err, path, 0, 0);
    }
    bw_buf_free(&bytes);
    free(path);
    free(text);
    return zone;
}
