/* Rates: over any time T at most rate x T + burst, for a source and for each address, in a bounded table; from many threads as from one. */
#include "ingest/meter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#define SECOND 1000000LL
static const int64_t start_us = 5 * SECOND;

static struct bw_meter *meter_of(int64_t count, int64_t period_ms, int64_t burst, bool is_by_address)
{
    struct bw_source_config config = {0};
    const struct bw_rate_config rate = {count, period_ms, burst};
    *(is_by_address ? &config.address_rate : &config.rate) = rate;
    struct bw_meter *meter = bw_meter_new(&config);
    assert_non_null(meter);
    assert_true(bw_meter_fits(meter, &config));
    (is_by_address ? &config.address_rate : &config.rate)->burst++;
    assert_false(bw_meter_fits(meter, &config));
    return meter;
}

static struct bw_net_address address_of(const char *text)
{
    struct bw_net_address address;
    assert_true(bw_net_address_parse(bw_slice_of(text), &address));
    return address;
}

static unsigned taken(struct bw_meter *meter, unsigned tries, int64_t now_us)
{
    unsigned count = 0;
    while (tries--) count += bw_meter_take(meter, now_us);
    return count;
}

static void test_a_burst_at_once_then_the_rate(void **state)
{
    (void)state;
    struct bw_meter *meter = meter_of(10, 1000, 5, false);
    assert_int_equal(taken(meter, 100, start_us), 5);
    assert_int_equal(taken(meter, 100, start_us + SECOND / 10 - 1), 0);
    assert_int_equal(taken(meter, 100, start_us + SECOND / 10), 1);
    assert_int_equal(taken(meter, 100, start_us + SECOND / 10 + SECOND / 5), 2);
    assert_int_equal(taken(meter, 100, start_us + 60 * SECOND), 5);               /* a rest gives back the burst, not more */
    assert_int_equal(taken(meter, 100, start_us), 0);                             /* a clock that is read late is no gain */
    assert_true(bw_meter_take_for(meter, &(struct bw_net_address){0}, start_us)); /* there is no rate by address */
    bw_meter_unref(meter);
}

/* Any window, not only those that begin with the first request. */
static void test_no_window_holds_more_than_rate_and_burst(void **state)
{
    (void)state;
    enum { REQUESTS = 20000, RATE = 50, BURST = 7 };
    static int64_t at[REQUESTS];
    size_t count = 0, last = 0;
    unsigned seed = 7;
    int64_t now = start_us;
    struct bw_meter *meter = meter_of(RATE, 1000, BURST, false);
    for (int i = 0; i < REQUESTS; i++) {
        seed = seed * 1103515245u + 12345u;
        now += seed >> 16 & 1 ? 0 : (seed >> 17) % 30000;
        if (bw_meter_take(meter, now)) at[count++] = now;
    }
    assert_true(count > 1000);
    for (int64_t window = 1; window <= 16 * SECOND; window *= 2)
        for (size_t first = last = 0; first < count; first++) {
            if (last < first) last = first;
            while (last < count && at[last] - at[first] < window) last++;
            assert_true((double)(last - first) <= (double)RATE * (double)window / SECOND + BURST + 1e-6);
        }
    bw_meter_unref(meter);
}

static void test_odd_rates_are_what_they_say(void **state)
{
    (void)state;
    struct bw_meter *slow = meter_of(1, 366LL * 24 * 3600 * 1000, 1000000, false), *fast = meter_of(1000000000000, 1, 1, false);
    unsigned count = 0;
    assert_int_equal(taken(slow, 3, start_us), 2);                        /* what a burst may hold back is bounded */
    for (int i = 0; i < 1000; i++) count += taken(fast, 1, start_us + i); /* one each time that the clock moves */
    assert_int_equal(count, 1000);
    bw_meter_unref(slow);
    bw_meter_unref(fast);
}

static void test_each_address_has_its_own_bucket(void **state)
{
    (void)state;
    struct bw_meter *meter = meter_of(1, 1000, 2, true);
    const struct bw_net_address one = address_of("192.0.2.1"), two = address_of("192.0.2.2"), v6 = address_of("2001:db8::1"),
                                neighbour = address_of("2001:db8::ffff"), other = address_of("2001:db8:0:1::1"), unknown = {0};
    assert_true(bw_meter_take_for(meter, &one, start_us) && bw_meter_take_for(meter, &one, start_us));
    assert_false(bw_meter_take_for(meter, &one, start_us));
    assert_true(bw_meter_take_for(meter, &two, start_us));
    assert_true(bw_meter_take_for(meter, &v6, start_us) && bw_meter_take_for(meter, &neighbour, start_us));
    assert_false(bw_meter_take_for(meter, &v6, start_us)); /* a /64 is one sender */
    assert_true(bw_meter_take_for(meter, &other, start_us));
    assert_true(bw_meter_take_for(meter, &unknown, start_us) && bw_meter_take_for(meter, &unknown, start_us));
    assert_false(bw_meter_take_for(meter, &unknown, start_us));
    assert_true(bw_meter_take_for(meter, &one, start_us + SECOND));
    assert_true(bw_meter_take(meter, start_us)); /* there is no rate of the source */
    bw_meter_unref(meter);
}

/* Who asks too often is held while ten thousand others knock once: the table drops those that owe least. */
static void test_the_table_is_bounded_and_keeps_who_owes_most(void **state)
{
    (void)state;
    struct bw_meter *meter = meter_of(1, 1000, 50, true);
    const struct bw_net_address loud = address_of("203.0.113.9");
    for (int i = 0; i < 50; i++) assert_true(bw_meter_take_for(meter, &loud, start_us));
    for (unsigned i = 0; i < 10 * BW_METER_ADDRESSES; i++) {
        struct bw_net_address quiet = address_of("10.0.0.0");
        quiet.bytes[1] = (uint8_t)(i >> 16), quiet.bytes[2] = (uint8_t)(i >> 8), quiet.bytes[3] = (uint8_t)i;
        assert_true(bw_meter_take_for(meter, &quiet, start_us + i));
    }
    assert_false(bw_meter_take_for(meter, &loud, start_us));
    bw_meter_unref(meter);
}

struct taker {
    struct bw_meter *meter;
    unsigned count;
};

static void *take_often(void *arg)
{
    struct taker *taker = arg;
    const struct bw_net_address who = address_of("192.0.2.1");
    for (int i = 0; i < 20000; i++) {
        taker->count += bw_meter_take(taker->meter, start_us);
        bw_meter_take_for(taker->meter, &who, start_us + i);
    }
    bw_meter_unref(taker->meter);
    return NULL;
}

static void test_threads_share_one_bucket(void **state)
{
    (void)state;
    struct bw_source_config config = {.rate = {1, 3600000, 1000}, .address_rate = {1000, 1000, 10}};
    struct bw_meter *meter = bw_meter_new(&config);
    struct taker takers[4];
    pthread_t threads[4];
    unsigned sum = 0;
    for (int i = 0; i < 4; i++) {
        takers[i] = (struct taker){bw_meter_ref(meter), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, take_often, &takers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        sum += takers[i].count;
    }
    assert_int_equal(sum, 1000);
    bw_meter_unref(meter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_at_once_then_the_rate),
        cmocka_unit_test(test_no_window_holds_more_than_rate_and_burst),
        cmocka_unit_test(test_odd_rates_are_what_they_say),
        cmocka_unit_test(test_each_address_has_its_own_bucket),
        cmocka_unit_test(test_the_table_is_bounded_and_keeps_who_owes_most),
        cmocka_unit_test(test_threads_share_one_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
