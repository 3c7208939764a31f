/* Lark: events that are encrypted, and the question before the first one. */
#include "source_fixture.h"

#define KEY "test key"

/* {"encrypt":"…"} as Lark makes it, with a vector of zeros. */
static const char *encrypted(const char *key, const char *text, char out[1200])
{
    unsigned char bytes[600] = {0}, hash[32];
    char coded[900];
    int len, rest;
    size_t hash_len;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, key, strlen(key), hash, &hash_len));
    assert_true(EVP_EncryptInit_ex2(context, EVP_aes_256_cbc(), hash, bytes, NULL));
    assert_true(EVP_EncryptUpdate(context, bytes + 16, &len, (const unsigned char *)text, (int)strlen(text)));
    assert_true(EVP_EncryptFinal_ex(context, bytes + 16 + len, &rest));
    EVP_CIPHER_CTX_free(context);
    EVP_EncodeBlock((unsigned char *)coded, bytes, 16 + len + rest);
    return format(out, 1200, "{\"encrypt\":\"%s\"}", coded);
}

static const char *signed_by(const char *key, const char *body, char out[300])
{
    char text[1400], hex[65];
    unsigned char hash[32];
    size_t len;
    format(text, sizeof text, "1760000000n%s%s", key, body);
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, text, strlen(text), hash, &len));
    bw_hex_encode(hash, 32, hex);
    return format(out, 300, "content-type: application/json\nx-lark-request-timestamp: 1760000000\nx-lark-request-nonce: n\nx-lark-signature: %s\n",
                  hex);
}

#define EVENT "{\"schema\":\"2.0\",\"header\":{\"event_id\":\"e1\",\"event_type\":\"im.message\"},\"event\":{\"text\":\"\xc3\xbc\"}}"

static void test_an_encrypted_event_is_read_once_it_is_proved(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    char body[1200], lines[300];
    add_secret(&fixture, "encrypt_key", BW_SLICE("new key"));
    add_secret(&fixture, "encrypt_key", BW_SLICE(KEY)); /* a rotation */
    open_source(&fixture, "lark");
    encrypted(KEY, EVENT, body);
    struct bw_judgement out = judge_at(fixture.source, bw_slice_of(signed_by(KEY, body, lines)), bw_slice_of(body), NOW_MS, &scratch);
    assert_string_equal(out.reason, "verified");
    assert_true(bw_slice_is(out.data, EVENT) && bw_slice_is(out.event, "im.message") && bw_slice_is(out.delivery_id, "e1") && out.event_trusted);
    assert_refused(&fixture, signed_by("other", body, lines), body, "bad signature");
    signed_by(KEY, body, lines);
    body[20] ^= 1;
    assert_refused(&fixture, lines, body, "bad signature");
    /* what is not encrypted is read as it is */
    out = judge_at(fixture.source, bw_slice_of(signed_by(KEY, EVENT, lines)), BW_SLICE(EVENT), NOW_MS, &scratch);
    assert_true(bw_slice_is(out.data, EVENT) && bw_slice_is(out.event, "im.message"));
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_the_question_before_the_first_event_is_answered(void **state)
{
    (void)state;
    static const struct {
        const char *key, *text;
        bool is_answered;
    } rows[] = {
        {KEY, "{\"type\":\"url_verification\",\"challenge\":\"c1\",\"token\":\"t\"}", true},
        {"other", "{\"type\":\"url_verification\",\"challenge\":\"c1\",\"token\":\"t\"}", false},
        {KEY, EVENT, false},
        {KEY, "no JSON", false},
    };
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    add_secret(&fixture, "encrypt_key", BW_SLICE(KEY));
    open_source(&fixture, "lark");
    for (size_t i = 0; i < COUNT(rows); i++) {
        char body[1200];
        encrypted(rows[i].key, rows[i].text, body);
        const struct bw_judgement out = judge_at(fixture.source, BW_SLICE("content-type: application/json\n"), bw_slice_of(body), NOW_MS, &scratch);
        assert_int_equal(out.verdict, rows[i].is_answered ? BW_HANDSHAKE : BW_REFUSED);
        if (rows[i].is_answered) assert_true(bw_slice_is(out.answer_body, "{\"challenge\":\"c1\"}"));
    }
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_what_only_looks_encrypted_is_no_event(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{\"encrypt\":\"\"}",
                                         "{\"encrypt\":\"AAAA\"}",
                                         "{\"encrypt\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}",
                                         "{\"encrypt\":7}",
                                         "{\"encrypt\":\"!\"}",
                                         "{\"encrypt\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}",
                                         "[]",
                                         "{",
                                         ""};
    struct fixture fixture = {0};
    add_secret(&fixture, "encrypt_key", BW_SLICE(KEY));
    open_source(&fixture, "lark");
    for (size_t i = 0; i < COUNT(bodies); i++) assert_refused(&fixture, "content-type: application/json\n", bodies[i], NULL);
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_encrypted_event_is_read_once_it_is_proved),
        cmocka_unit_test(test_the_question_before_the_first_event_is_answered),
        cmocka_unit_test(test_what_only_looks_encrypted_is_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
