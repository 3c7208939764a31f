/* Connections by address: the bound is exact, what ends makes room, and those behind whom are many are not counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "ingest/origins.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct bw_config config = {.max_connections_per_address = 3};

static bool enter(struct bw_origins *origins, const char *address, struct bw_origin *origin)
{
    struct bw_net_address parsed;
    bw_net_address_parse(bw_slice_of(address), &parsed);
    *origin = (struct bw_origin){0};
    return bw_origins_enter(origins, &parsed, origin);
}

static void test_so_many_and_no_more(void **state)
{
    (void)state;
    struct bw_origins *origins = bw_origins_new(&config);
    struct bw_origin three[3], other, more;
    for (int i = 0; i < 3; i++) assert_true(enter(origins, "192.0.2.1", &three[i]));
    assert_false(enter(origins, "192.0.2.1", &more));
    bw_origins_leave(origins, &more); /* it never was in */
    assert_false(enter(origins, "192.0.2.1", &more));
    assert_false(enter(origins, "::ffff:192.0.2.1", &more)); /* the same one over a v6 socket */
    assert_true(enter(origins, "192.0.2.2", &other));
    bw_origins_leave(origins, &three[1]);
    bw_origins_leave(origins, &three[1]); /* once is enough */
    assert_true(enter(origins, "192.0.2.1", &three[1]));
    assert_false(enter(origins, "192.0.2.1", &more));
    bw_origins_free(origins);
}

static void test_of_v6_a_64_is_one_sender(void **state)
{
    (void)state;
    struct bw_origins *origins = bw_origins_new(&config);
    struct bw_origin origin;
    assert_true(enter(origins, "2001:db8:0:1::1", &origin));
    assert_true(enter(origins, "2001:db8:0:1::2", &origin));
    assert_true(enter(origins, "2001:db8:0:1:ffff::", &origin));
    assert_false(enter(origins, "2001:db8:0:1::3", &origin));
    assert_true(enter(origins, "2001:db8:0:2::1", &origin));
    bw_origins_free(origins);
}

static void test_loopback_and_trusted_proxies_are_not_counted(void **state)
{
    (void)state;
    struct bw_net_range proxies[2];
    bw_net_range_parse(BW_SLICE("198.51.100.0/24"), &proxies[0]);
    bw_net_range_parse(BW_SLICE("2001:db8:9::/48"), &proxies[1]);
    const struct bw_config with_proxies = {.max_connections_per_address = 1, .trusted_proxies = proxies, .trusted_proxy_count = 2};
    struct bw_origins *origins = bw_origins_new(&with_proxies);
    static const char *const free_ones[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "198.51.100.7", "2001:db8:9::1", "unknown"};
    struct bw_origin origin;
    for (size_t i = 0; i < sizeof free_ones / sizeof *free_ones; i++)
        for (int times = 0; times < 5; times++) assert_true(enter(origins, free_ones[i], &origin));
    assert_true(enter(origins, "198.51.101.7", &origin));
    assert_false(enter(origins, "198.51.101.7", &origin));
    bw_origins_free(origins);
}

static void test_refusals_are_one_line_and_then_their_number(void **state)
{
    (void)state;
    char log[4096] = "";
    int said[2], real_stderr = dup(STDERR_FILENO);
    struct bw_origins *origins = bw_origins_new(&config);
    struct bw_origin origin;
    assert_int_equal(pipe(said), 0);
    bw_log_setup(BW_LOG_WARN, BW_LOG_JSON, "test");
    dup2(said[1], STDERR_FILENO);
    for (int i = 0; i < 3 + 1000; i++) enter(origins, "192.0.2.1", &origin);
    dup2(real_stderr, STDERR_FILENO);
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    assert_true(read(said[0], log, sizeof log - 1) > 0);
    assert_non_null(strstr(log, "\"ingest.address_full\",\"address\":\"192.0.2.1\",\"times\":1,"));
    unsigned lines = 0; /* a second may begin while this runs, but not a hundred */
    for (const char *at = log; (at = strchr(at, '\n')); at++) lines++;
    assert_in_range(lines, 1, 100);
    bw_origins_free(origins);
    close(said[0]), close(said[1]), close(real_stderr);
}

static void *come_and_go(void *arg)
{
    struct bw_origin origin;
    for (int i = 0; i < 20000; i++)
        if (enter(arg, i % 2 ? "192.0.2.1" : "192.0.2.2", &origin)) bw_origins_leave(arg, &origin);
    return NULL;
}

static void test_threads_come_and_go_and_nothing_is_left(void **state)
{
    (void)state;
    struct bw_origins *origins = bw_origins_new(&config);
    pthread_t threads[4];
    struct bw_origin origin;
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, origins), 0);
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++) assert_true(enter(origins, "192.0.2.1", &origin));
    assert_false(enter(origins, "192.0.2.1", &origin));
    bw_origins_free(origins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_many_and_no_more),
        cmocka_unit_test(test_of_v6_a_64_is_one_sender),
        cmocka_unit_test(test_loopback_and_trusted_proxies_are_not_counted),
        cmocka_unit_test(test_refusals_are_one_line_and_then_their_number),
        cmocka_unit_test(test_threads_come_and_go_and_nothing_is_left),
    };
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
