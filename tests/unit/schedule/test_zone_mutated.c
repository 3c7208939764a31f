/* Time zone files are not trusted. Each mutated file lies in memory of its exact size, so that the sanitizer sees a read behind its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/zones.h"

/* Whatever the file says, answers are bounded, time passes and nothing overflows. */
static void use(const struct bw_zone *zone, const struct bw_cron *cron, uint64_t *seed)
{
    static const int64_t edges[] = {INT64_MIN,  -BW_ZONE_LIMIT_S, -62135596800, INT32_MIN,       0,
                                    1800000000, INT32_MAX,        253402300799, BW_ZONE_LIMIT_S, INT64_MAX};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        int64_t at = edges[i] / 2 + (int64_t)(next_random(seed) % 1000000000) + edges[i] / 2 * (i % 2);
        struct bw_zone_span span = bw_zone_span(zone, at);
        assert_true(span.from_s < span.until_s);
        assert_in_range(span.offset_s - BW_ZONE_OFFSET_MIN_S, 0, BW_ZONE_OFFSET_MAX_S - BW_ZONE_OFFSET_MIN_S);
        struct bw_zone_instants found = bw_zone_to_unix(zone, at);
        assert_true(found.first_s <= found.last_s);
    }
    struct bw_firing firing;
    int64_t at = 1000 * (int64_t)(next_random(seed) % 4000000000), begin = at;
    uint64_t missed, walked = 0;
    for (; walked < 20 && bw_cron_next(cron, zone, at, &firing); walked++) {
        assert_true(firing.at_ms > at);
        at = firing.at_ms;
    }
    assert_true(bw_cron_latest(cron, zone, begin, begin + 366LL * 86400000, &firing, &missed) || missed == 0);
}

/* Most bytes of a file are times, for which everything is good: half of the edits go where the counts and kinds are. */
static size_t pick(uint64_t *seed, size_t len)
{
    uint64_t where = next_random(seed);
    if (where % 2) return next_random(seed) % len;
    return where % 4 ? len - 1 - next_random(seed) % (len < 64 ? len : 64) : next_random(seed) % (len < 48 ? len : 48);
}

static void test_no_file_does_harm(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Berlin", "Africa/Casablanca", "Asia/Kathmandu", "America/Nuuk", "Etc/GMT+5", "Pacific/Apia"};
    struct bw_cron daily = rule_of("30 2 * * *"), steps = rule_of("*/20 * * * *"), leap = rule_of("0 0 29 2 *");
    const struct bw_cron *rules[] = {&daily, &steps, &leap};
    int rounds = getenv("BELLWIRE_DEEP") ? 200000 : 2500, accepted = 0, refused = 0;
    uint64_t seed = 7;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = bw_file_join(ZONES_FOLDER, names[i]);
        struct bw_buf file = {0};
        assert_true(bw_file_read(path, BW_ZONE_FILE_BYTES, &file, NULL));
        for (int round = 0; round < rounds; round++) {
            static const unsigned char bytes[] = {0, 1, 2, 0x7f, 0x80, 0xff, '\n', '0', '9', ','};
            size_t len = next_random(&seed) % 8 ? file.len : next_random(&seed) % (file.len + 1);
            char *copy = malloc(len ? len : 1);
            memcpy(copy, file.data, len);
            for (uint64_t edits = len ? next_random(&seed) % 6 : 0; edits > 0; edits--) {
                uint64_t value = next_random(&seed);
                copy[pick(&seed, len)] = (char)(value % 2 ? bytes[value / 2 % sizeof bytes] : value >> 8);
            }
            struct bw_error err = {0};
            struct bw_zone *zone = bw_zone_parse(BW_SLICE("mutated"), (struct bw_slice){copy, len}, &err);
            free(copy); /* nothing is borrowed */
            if (zone) {
                accepted++;
                use(zone, rules[round % 3], &seed);
            } else {
                refused++;
                assert_string_equal(err.code, "zone.corrupt");
                assert_true(err.hint[0] != '\0');
            }
            bw_zone_close(zone);
        }
        bw_buf_free(&file);
        free(path);
    }
    print_message("%d accepted, %d refused\n", accepted, refused);
    assert_true(accepted > rounds && refused > rounds); /* both ways were tried */
}

static void test_a_file_that_ends_early_is_refused_at_each_byte(void **state)
{
    (void)state;
    struct bw_buf file = {0};
    assert_true(bw_file_read(ZONES_FOLDER "/Asia/Kathmandu", BW_ZONE_FILE_BYTES, &file, NULL));
    for (size_t len = 0; len <= file.len; len++) {
        char *copy = malloc(len ? len : 1);
        memcpy(copy, file.data, len);
        struct bw_zone *zone = bw_zone_parse(BW_SLICE("short"), (struct bw_slice){copy, len}, NULL);
        assert_int_equal(zone != NULL, len == file.len);
        bw_zone_close(zone);
        free(copy);
    }
    bw_buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file_does_harm),
        cmocka_unit_test(test_a_file_that_ends_early_is_refused_at_each_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
