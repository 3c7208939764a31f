#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec.h"

static void test_hex_is_lower_case_unless_asked(void **state)
{
    (void)state;
    uint8_t out[4];
    size_t len = 9;
    char text[9];
    assert_true(bw_hex_decode(BW_SLICE("00ff10aB"), true, out, 4, &len));
    assert_memory_equal(out, "\x00\xff\x10\xab", 4);
    assert_int_equal(len, 4);
    assert_false(bw_hex_decode(BW_SLICE("00ff10aB"), false, out, 4, &len));
    assert_true(bw_hex_decode(BW_SLICE(""), false, out, 0, &len));
    assert_int_equal(len, 0);
    assert_false(bw_hex_decode(BW_SLICE("0"), false, out, 4, &len));
    assert_false(bw_hex_decode(BW_SLICE("0g"), false, out, 4, &len));
    assert_false(bw_hex_decode(BW_SLICE(" 00"), false, out, 4, &len));
    assert_false(bw_hex_decode(BW_SLICE("0x00"), false, out, 4, &len));
    assert_false(bw_hex_decode(BW_SLICE("0011223344"), false, out, 4, &len)); /* too long */
    bw_hex_encode("\x00\xff\x10\xab", 4, text);
    assert_string_equal(text, "00ff10ab");
}

/* RFC 4648 section 10 */
static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
static const char *const coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};

static void test_base64_vectors_of_rfc4648(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        struct bw_buf buf = {0};
        uint8_t out[8];
        size_t len;
        bw_base64_append(&buf, plain[i], strlen(plain[i]));
        assert_true(bw_slice_is(bw_buf_slice(&buf), coded[i]));
        assert_true(bw_base64_decode(bw_buf_slice(&buf), out, sizeof out, &len));
        assert_int_equal(len, i);
        assert_memory_equal(out, plain[i], len);
        bw_buf_clear(&buf);
        bw_base64url_append(&buf, plain[i], strlen(plain[i]));
        assert_null(memchr(bw_buf_slice(&buf).ptr, '=', buf.len));
        assert_true(bw_base64url_decode(bw_buf_slice(&buf), out, sizeof out, &len));
        assert_int_equal(len, i);
        bw_buf_free(&buf);
    }
}

static void test_base64_has_one_text_per_value(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Zg", "Zg=", "Zh==", "Zm9=", "Zg==\n", " Zg==", "Z===", "====", "=", "Zm9v=", "Zm-_", "Zm 9v", "Zg==Zg==", "Zm9v====", "Z", "Zm9v\r\n"};
    static const char *const bad_url[] = {"Zg==", "Zh", "Zm9", "Zm+/", "Z", "Zg\n"};
    uint8_t out[16];
    size_t len;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(bw_base64_decode(bw_slice_of(bad[i]), out, sizeof out, &len));
    for (size_t i = 0; i < sizeof bad_url / sizeof *bad_url; i++) assert_false(bw_base64url_decode(bw_slice_of(bad_url[i]), out, sizeof out, &len));
    assert_true(bw_base64_decode(BW_SLICE("+/+/"), out, 3, &len));
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    assert_true(bw_base64url_decode(BW_SLICE("-_-_"), out, 3, &len));
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    assert_false(bw_base64_decode(BW_SLICE("Zm9v"), out, 2, &len)); /* no room */
}

static void test_url_coding(void **state)
{
    (void)state;
    struct bw_buf buf = {0};
    bw_url_encode_append(&buf, BW_SLICE("az AZ09-._~/?\xc3\xa9+%\0"));
    assert_string_equal(buf.data, "az%20AZ09-._~%2F%3F%C3%A9%2B%25%00");
    bw_buf_clear(&buf);
    assert_true(bw_form_decode_append(&buf, BW_SLICE("a+b%2B%c3%A9%25")));
    assert_string_equal(buf.data, "a b+\xc3\xa9%");
    static const char *const bad[] = {"%", "%2", "%2g", "%g2", "ab%", "%%20"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(bw_form_decode_append(&buf, bw_slice_of(bad[i])));
    bw_buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex_is_lower_case_unless_asked),
        cmocka_unit_test(test_base64_vectors_of_rfc4648),
        cmocka_unit_test(test_base64_has_one_text_per_value),
        cmocka_unit_test(test_url_coding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
