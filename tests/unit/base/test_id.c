#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/id.h"

static struct bw_uid counting(void)
{
    struct bw_uid uid;
    for (int i = 0; i < 16; i++) uid.bytes[i] = (uint8_t)i;
    return uid;
}

static void test_new_is_uuid_version_7(void **state)
{
    (void)state;
    struct bw_uid a = bw_uid_new(0x0123456789ab), b = bw_uid_new(0x0123456789ab);
    assert_memory_equal(a.bytes, "\x01\x23\x45\x67\x89\xab", 6);
    assert_int_equal(a.bytes[6] >> 4, 7);
    assert_int_equal(a.bytes[8] >> 6, 2);
    assert_false(bw_uid_equal(a, b));
    assert_false(bw_uid_is_zero(a));
    assert_true(bw_uid_is_zero((struct bw_uid){{0}}));
}

/* Vectors from an independent implementation (Python's hashlib, hmac and base64). These values are promises: they must be
 * the same after an upgrade, or a run that was cut short does its effects twice. */
static void test_run_identity_is_pinned(void **state)
{
    (void)state;
    char hex[33];
    struct bw_uid run = bw_uid_of_run(counting(), BW_SLICE("deploy"));
    bw_hex_encode(run.bytes, sizeof run.bytes, hex);
    assert_string_equal(hex, "000102030405cfb1dc606c080465c521");
    assert_false(bw_uid_equal(run, bw_uid_of_run(counting(), BW_SLICE("deploy2"))));
}

static void test_idempotency_key_is_pinned(void **state)
{
    (void)state;
    char key[BW_IDEMPOTENCY_KEY_TEXT];
    assert_string_equal(bw_idempotency_key(counting(), "steps.a", 0, key), "bw_bendkaxw4yjvgq4vqjc5xqylt4p3oc46");
    assert_string_equal(bw_idempotency_key(counting(), "steps.a", 12, key), "bw_w6i4ynldeeemig4iiqtdel5vam66hcl2");
    struct bw_uid other;
    memset(other.bytes, 0xff, sizeof other.bytes);
    assert_string_equal(bw_idempotency_key(other, "steps.a", 0, key), "bw_56ziedippmt4sxrzd3nlnfe5ldfmpcnk"); /* nothing of the last one is left */
    assert_string_equal(bw_idempotency_key(counting(), "steps.a", 0, key), "bw_bendkaxw4yjvgq4vqjc5xqylt4p3oc46");
}

static void test_text_goes_there_and_back(void **state)
{
    (void)state;
    char text[BW_UID_TEXT], second[BW_UID_TEXT];
    struct bw_uid back;
    assert_string_equal(bw_uid_text(counting(), BW_UID_EVENT, text), "evt_00041061050r3gg28a1c60t3gf");
    for (int i = 0; i < 100; i++) {
        struct bw_uid uid = bw_uid_new(1795435200000 + i);
        bw_uid_text(uid, BW_UID_RUN, text);
        assert_true(bw_uid_parse(bw_slice_of(text), BW_UID_RUN, &back));
        assert_true(bw_uid_equal(uid, back));
        struct bw_uid later = bw_uid_new(1795435200001 + i);
        assert_true(strcmp(text, bw_uid_text(later, BW_UID_RUN, second)) < 0); /* texts sort like the bytes */
    }
    struct bw_uid full;
    memset(full.bytes, 0xff, sizeof full.bytes);
    assert_string_equal(bw_uid_text(full, BW_UID_EVENT, text), "evt_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    assert_true(bw_uid_parse(bw_slice_of(text), BW_UID_EVENT, &back));
    assert_true(bw_uid_equal(full, back));
}

static void test_every_identity_has_one_spelling(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "evt_",
                                      "run_00041061050r3gg28a1c60t3gf",
                                      "evt_00041061050r3gg28a1c60t3g",
                                      "evt_00041061050r3gg28a1c60t3gff",
                                      "evt_00041061050R3GG28A1C60T3GF",
                                      "evt_0004106l050r3gg28a1c60t3gf",
                                      "evt_80041061050r3gg28a1c60t3gf",
                                      "evt_0004106/050r3gg28a1c60t3gf",
                                      "../../../../../../../etc/passw"};
    struct bw_uid uid;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(bw_uid_parse(bw_slice_of(bad[i]), BW_UID_EVENT, &uid));
    assert_false(bw_uid_parse(BW_SLICE("evt_0004106\0"
                                       "050r3gg28a1c60t3gf"),
                              BW_UID_EVENT, &uid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_is_uuid_version_7),           cmocka_unit_test(test_run_identity_is_pinned),
        cmocka_unit_test(test_idempotency_key_is_pinned),       cmocka_unit_test(test_text_goes_there_and_back),
        cmocka_unit_test(test_every_identity_has_one_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
