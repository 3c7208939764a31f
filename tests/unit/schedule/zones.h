/* zones.h: what the tests of this room share: times as text, and the zones of the database, each content once. */
#ifndef TESTS_SCHEDULE_ZONES_H
#define TESTS_SCHEDULE_ZONES_H
#include "base/clock.h"
#include "base/file.h"
#include "schedule/civil.h"
#include "schedule/cron.h"
#include <stdio.h>
#include <stdlib.h>

#define ZONES_FOLDER "/usr/share/zoneinfo"
#define ZONES_MAX 1024

/* "2026-03-29T02:30", with ":SS" or without, as local seconds (and so, if it is meant in UTC, as a Unix time). */
static inline int64_t local_time(const char *text)
{
    long long year;
    struct bw_civil civil = {0};
    int got = sscanf(text, "%lld-%d-%dT%d:%d:%d", &year, &civil.month, &civil.day, &civil.hour, &civil.minute, &civil.second);
    assert_true(got >= 5);
    civil.year = year;
    return bw_civil_seconds(&civil);
}

static inline struct bw_cron rule_of(const char *text)
{
    struct bw_cron cron;
    struct bw_error err = {0};
    if (!bw_cron_parse(bw_slice_of(text), &cron, &err)) fail_msg("'%s': %s", text, err.message);
    return cron;
}

static inline struct bw_zone *zone_of(const char *name)
{
    struct bw_error err = {0};
    struct bw_zone *zone = bw_zone_open(bw_slice_of(name), &err);
    if (!zone) fail_msg("%s: %s (%s)", name, err.message, err.hint);
    return zone;
}

struct zones {
    const char *names[ZONES_MAX];
    size_t count;
    char **all;
    size_t all_count;
};

static inline uint64_t hash_of(struct bw_slice bytes)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes.len; i++) hash = (hash ^ (unsigned char)bytes.ptr[i]) * 1099511628211u;
    return hash;
}

/* Links have the content of what they lead to; "right" counts leap seconds, "posix" repeats everything. */
static inline void find_zones(struct zones *out)
{
    static uint64_t hashes[ZONES_MAX];
    *out = (struct zones){0};
    assert_true(bw_file_list(ZONES_FOLDER, "", true, &out->all, &out->all_count, NULL));
    for (size_t i = 0; i < out->all_count && out->count < ZONES_MAX; i++) {
        const char *name = out->all[i];
        if (strncmp(name, "right/", 6) == 0 || strncmp(name, "posix/", 6) == 0) continue;
        char *path = bw_file_join(ZONES_FOLDER, name);
        struct bw_buf bytes = {0};
        if (bw_file_read(path, 1 << 20, &bytes, NULL) && bytes.len > 4 && memcmp(bytes.data, "TZif", 4) == 0) {
            uint64_t hash = hash_of(bw_buf_slice(&bytes));
            size_t same = 0;
            while (same < out->count && hashes[same] != hash) same++;
            if (same == out->count) {
                hashes[out->count] = hash;
                out->names[out->count++] = name;
            }
        }
        bw_buf_free(&bytes);
        free(path);
    }
}

static inline void free_zones(struct zones *zones)
{
    bw_file_list_free(zones->all, zones->all_count);
}

/* A generator that gives the same numbers everywhere: a failure can be repeated. */
static inline uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
#endif
