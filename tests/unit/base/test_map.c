#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/siphash.h"
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>

static struct bw_slice number_key(char buf[16], int i)
{
    return (struct bw_slice){buf, (size_t)snprintf(buf, 16, "key%d", i)};
}

static void test_set_get_replace_remove(void **state)
{
    (void)state;
    int a = 1, b = 2;
    struct bw_map *map = bw_map_new();
    assert_null(bw_map_get(map, BW_SLICE("x")));
    assert_null(bw_map_remove(map, BW_SLICE("x")));
    assert_true(bw_map_set(map, BW_SLICE("x"), &a));
    assert_true(bw_map_set(map, BW_SLICE("x"), &b));
    assert_true(bw_map_set(map, BW_SLICE(""), &a));
    assert_true(bw_map_set(map, BW_SLICE("x\0y"), &a));
    assert_int_equal(bw_map_count(map), 3);
    assert_ptr_equal(bw_map_get(map, BW_SLICE("x")), &b);
    assert_ptr_equal(bw_map_get(map, BW_SLICE("")), &a);
    assert_ptr_equal(bw_map_remove(map, BW_SLICE("x")), &b);
    assert_null(bw_map_get(map, BW_SLICE("x")));
    assert_ptr_equal(bw_map_get(map, BW_SLICE("x\0y")), &a);
    bw_map_free(map, NULL);
    bw_map_free(NULL, NULL);
}

static void test_iteration_is_in_order_of_insertion(void **state)
{
    (void)state;
    static int values[3000];
    char buf[16];
    struct bw_map *map = bw_map_new();
    for (int i = 0; i < 3000; i++) assert_true(bw_map_set(map, number_key(buf, i), &values[i]));
    struct bw_slice key;
    void *value;
    int seen = 0;
    for (size_t at = 0; bw_map_next(map, &at, &key, &value); seen++) {
        assert_ptr_equal(value, &values[seen]);
        assert_true(bw_slice_equal(key, number_key(buf, seen)));
    }
    assert_int_equal(seen, 3000);
    bw_map_free(map, NULL);
}

static void test_current_key_may_be_removed_while_iterating(void **state)
{
    (void)state;
    static int values[100];
    char buf[16];
    struct bw_map *map = bw_map_new();
    for (int i = 0; i < 100; i++) bw_map_set(map, number_key(buf, i), &values[i]);
    struct bw_slice key;
    void *value;
    int seen = 0;
    for (size_t at = 0; bw_map_next(map, &at, &key, &value); seen++)
        if (seen % 3) assert_ptr_equal(bw_map_remove(map, key), value);
    assert_int_equal(seen, 100);
    assert_int_equal(bw_map_count(map), 34);
    for (int i = 0; i < 100; i++) assert_ptr_equal(bw_map_get(map, number_key(buf, i)), i % 3 ? NULL : &values[i]);
    bw_map_free(map, NULL);
}

/* Holes of removed entries must be taken back, or a table that lives for months grows or never finds a free slot. */
static void test_endless_set_and_remove_stays_right(void **state)
{
    (void)state;
    int value = 0;
    char buf[16];
    struct bw_map *map = bw_map_new();
    for (int i = 0; i < 20000; i++) {
        assert_true(bw_map_set(map, number_key(buf, i), &value));
        if (i >= 5) assert_ptr_equal(bw_map_remove(map, number_key(buf, i - 5)), &value);
    }
    assert_int_equal(bw_map_count(map), 5);
    for (int i = 19995; i < 20000; i++) assert_ptr_equal(bw_map_get(map, number_key(buf, i)), &value);
    bw_map_free(map, NULL);
}

static void test_free_releases_every_value(void **state)
{
    (void)state;
    char buf[16];
    struct bw_map *map = bw_map_new();
    for (int i = 0; i < 10; i++) bw_map_set(map, number_key(buf, i), malloc(8)); /* a leak shows under the address sanitizer */
    free(bw_map_remove(map, BW_SLICE("key3")));
    bw_map_free(map, free);
}

static uint64_t openssl_siphash13(const uint8_t key[16], const uint8_t *bytes, size_t len)
{
    unsigned compress = 1, finalise = 3;
    size_t size = 8, got;
    uint8_t out[8];
    OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t("size", &size), OSSL_PARAM_construct_uint("c-rounds", &compress),
                           OSSL_PARAM_construct_uint("d-rounds", &finalise), OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    assert_int_equal(EVP_MAC_init(ctx, key, 16, params), 1);
    assert_int_equal(EVP_MAC_update(ctx, bytes, len), 1);
    assert_int_equal(EVP_MAC_final(ctx, out, &got, sizeof out), 1);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | out[i];
    return value;
}

static void test_siphash_agrees_with_openssl(void **state)
{
    (void)state;
    uint8_t key[16], bytes[64];
    for (int i = 0; i < 16; i++) key[i] = (uint8_t)i;
    for (int i = 0; i < 64; i++) bytes[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len <= 64; len++) assert_true(bw_siphash13(key, bytes, len) == openssl_siphash13(key, bytes, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_get_replace_remove),
        cmocka_unit_test(test_iteration_is_in_order_of_insertion),
        cmocka_unit_test(test_current_key_may_be_removed_while_iterating),
        cmocka_unit_test(test_endless_set_and_remove_stays_right),
        cmocka_unit_test(test_free_releases_every_value),
        cmocka_unit_test(test_siphash_agrees_with_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
