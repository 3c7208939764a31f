#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_bytes_do_not_repeat(void **state)
{
    (void)state;
    static uint8_t seen[200][16];
    for (int i = 0; i < 200; i++) { /* several refills of the stock */
        bw_random_bytes(seen[i], 16);
        for (int j = 0; j < i; j++) assert_memory_not_equal(seen[i], seen[j], 16);
    }
    uint8_t large[4096] = {0}, zero[64] = {0};
    bw_random_bytes(large, sizeof large);
    assert_memory_not_equal(large + sizeof large - 64, zero, 64);
    bw_random_bytes(NULL, 0);
}

static void test_child_draws_other_bytes_than_its_parent(void **state)
{
    (void)state;
    uint8_t mine[16], theirs[16];
    int ends[2], status;
    bw_random_bytes(mine, 1); /* fill the stock before the fork */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        bw_random_bytes(theirs, sizeof theirs);
        _exit(write(ends[1], theirs, sizeof theirs) == sizeof theirs ? 0 : 1);
    }
    bw_random_bytes(mine, sizeof mine);
    assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ends[0]);
    close(ends[1]);
    assert_memory_not_equal(mine, theirs, sizeof mine);
}

static void test_unit_stays_below_one(void **state)
{
    (void)state;
    double least = 1, most = 0;
    for (int i = 0; i < 10000; i++) {
        double value = bw_random_unit();
        assert_true(value >= 0 && value < 1);
        if (value < least) least = value;
        if (value > most) most = value;
    }
    assert_true(least < 0.1 && most > 0.9); /* fails by chance once in 10^457 runs */
}

static void ones(void *arg, void *out, size_t len)
{
    ++*(int *)arg;
    memset(out, 0xff, len);
}

static void test_override_replaces_the_source(void **state)
{
    (void)state;
    int calls = 0;
    uint8_t bytes[4];
    bw_random_override(ones, &calls);
    bw_random_bytes(bytes, sizeof bytes);
    assert_memory_equal(bytes, "\xff\xff\xff\xff", 4);
    assert_true(bw_random_unit() < 1);
    assert_int_equal(calls, 2);
    bw_random_override(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_do_not_repeat),
        cmocka_unit_test(test_child_draws_other_bytes_than_its_parent),
        cmocka_unit_test(test_unit_stays_below_one),
        cmocka_unit_test(test_override_replaces_the_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
