/* HMAC-SHA256 by the vectors of RFC 4231, in any order: the context that is kept has nothing of the last one. */
#include "base/codec.h"
#include "base/hmac.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static const char long_key[131] = {[0 ... 130] = '\xaa'};
static const struct {
    struct bw_slice key, parts[2];
    const char *code;
} vectors[] = {
    {BW_SLICE("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
     {BW_SLICE("Hi "), BW_SLICE("There")},
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {BW_SLICE("Jefe"), {BW_SLICE("what do ya want for nothing?"), BW_SLICE("")}, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {{long_key, sizeof long_key},
     {BW_SLICE("Test Using Larger Than Block-Size Key"), BW_SLICE(" - Hash Key First")},
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
};

static bool are_right(void)
{
    for (size_t i = 0; i < 4 * sizeof vectors / sizeof *vectors; i++) {
        size_t which = i * i % 3;
        uint8_t code[BW_HMAC_BYTES];
        char hex[2 * BW_HMAC_BYTES + 1];
        if (!bw_hmac_sha256(vectors[which].key, vectors[which].parts, 2, code)) return false;
        bw_hex_encode(code, sizeof code, hex);
        if (strcmp(hex, vectors[which].code) != 0) return false;
    }
    return true;
}

static void test_the_vectors_of_rfc_4231(void **state)
{
    (void)state;
    assert_true(are_right());
}

static void *try_in_a_thread(void *arg)
{
    *(bool *)arg = are_right();
    return NULL;
}

static void test_each_thread_has_a_context_which_ends_with_it(void **state)
{
    (void)state;
    pthread_t threads[4];
    bool good[4] = {false};
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, try_in_a_thread, &good[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(good[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_vectors_of_rfc_4231),
        cmocka_unit_test(test_each_thread_has_a_context_which_ends_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
