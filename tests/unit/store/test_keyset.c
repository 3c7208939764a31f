#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/keyset.h"
#include <stdlib.h>
#include <string.h>

static uint64_t seed;
static uint64_t next_random(void) /* splitmix64 */
{
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void assert_ascending(const struct bw_keyset *set)
{
    const struct bw_key_entry *entry, *before = NULL;
    size_t count = 0;
    for (size_t i = 0; (entry = bw_keyset_next(set, &i)) != NULL; before = entry, count++)
        if (before) assert_true(bw_key_compare(before->key, entry->key) < 0);
    assert_int_equal(count, set->count);
}

/* Every put, find and remove against a plain array of which key is in. `spread` narrows the homes so that clusters form. */
static void compare_with_array(uint64_t spread)
{
    enum { KEYS = 600, STEPS = 60000 };
    static struct bw_key keys[KEYS];
    static int64_t values[KEYS];
    struct bw_keyset set = {0};
    memset(values, 0, sizeof values);
    for (int i = 0; i < KEYS; i++) keys[i] = (struct bw_key){next_random() % spread * (UINT64_MAX / spread), next_random()};
    for (int step = 0; step < STEPS; step++) {
        int i = (int)(next_random() % KEYS);
        if (next_random() % 3) {
            values[i] = step + 1;
            assert_true(bw_keyset_put(&set, &(struct bw_key_entry){.key = keys[i], .event_id = step + 1}));
        } else {
            values[i] = 0;
            bw_keyset_remove(&set, keys[i]);
        }
        int other = (int)(next_random() % KEYS);
        const struct bw_key_entry *found = bw_keyset_find(&set, keys[other]);
        assert_int_equal(found ? found->event_id : 0, values[other]);
        if (step % 500 == 0) assert_ascending(&set);
    }
    for (int i = 0; i < KEYS; i++) assert_int_equal(bw_keyset_find(&set, keys[i]) != NULL, values[i] != 0);
    bw_keyset_free(&set);
}

static void test_behaves_like_an_array_of_keys(void **state)
{
    (void)state;
    for (seed = 1; seed < 5; seed++) compare_with_array(UINT64_MAX);
}

static void test_long_clusters_stay_sorted(void **state)
{
    (void)state;
    seed = 7;
    compare_with_array(3); /* three homes, the last one at the very end */
}

static void test_all_keys_in_the_last_home_fit(void **state)
{
    struct bw_keyset set = {0};
    (void)state;
    for (uint64_t i = 0; i < 5000; i++)
        assert_true(bw_keyset_put(&set, &(struct bw_key_entry){.key = {UINT64_MAX, (i * 2654435761u) % 5000}, .event_id = 1}));
    assert_ascending(&set);
    for (uint64_t i = 0; i < 5000; i++) bw_keyset_remove(&set, (struct bw_key){UINT64_MAX, (i * 2654435761u) % 5000});
    assert_int_equal(set.count, 0);
    bw_keyset_free(&set);
}

static void test_an_equal_key_is_replaced(void **state)
{
    struct bw_keyset set = {0};
    struct bw_key key = {5, 6};
    (void)state;
    bw_keyset_put(&set, &(struct bw_key_entry){.key = key, .event_id = 1});
    bw_keyset_put(&set, &(struct bw_key_entry){.key = key, .event_id = 2});
    assert_int_equal(set.count, 1);
    assert_int_equal(bw_keyset_find(&set, key)->event_id, 2);
    bw_keyset_free(&set);
}

static void test_order_is_that_of_the_bytes(void **state)
{
    uint8_t low[16] = {0}, high[16] = {0}, back[16];
    (void)state;
    low[0] = 1, low[1] = 255, high[0] = 2;
    assert_true(bw_key_compare(bw_key_read(low), bw_key_read(high)) < 0);
    bw_key_write(bw_key_read(low), back);
    assert_memory_equal(low, back, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_behaves_like_an_array_of_keys), cmocka_unit_test(test_long_clusters_stay_sorted),
        cmocka_unit_test(test_all_keys_in_the_last_home_fit), cmocka_unit_test(test_an_equal_key_is_replaced),
        cmocka_unit_test(test_order_is_that_of_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
