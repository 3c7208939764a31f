/* Pitfalls of signatures (verification.md section 3): each with a request that must be refused and the near-identical one that must be accepted. */
#include "source_fixture.h"

static const char body[] = "{\"action\":\"opened\"}";
static const char key[] = "its-a-secret";

/* In place: the source borrows the configuration. */
static void open_github(struct fixture *fixture)
{
    add_secret(fixture, "webhook_secret", bw_slice_of(key));
    open_source(fixture, "github");
}

#define STANDARD_KEY "0123456789abcdef0123456789abcdef"
/* In place: the source borrows the configuration. */
static void open_standard(struct fixture *fixture)
{
    add_secret(fixture, "signing_secret", BW_SLICE("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="));
    open_source(fixture, "standard-webhooks");
}

static void standard_mac(const char *id, const char *ts, char out[64])
{
    char message[512];
    base64_mac(STANDARD_KEY, strlen(STANDARD_KEY), format(message, sizeof message, "%s.%s.%s", id, ts, body), out);
}

static void test_repeated_signature_header_is_refused(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    open_github(&fixture);
    char mac[65], lines[600];
    hex_mac(key, body, mac);
    assert_accepted(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", mac), body);
    assert_refused(&fixture, format(lines, sizeof lines, "X-Hub-Signature-256: sha256=%s\nx-hub-signature-256: sha256=%s\n", mac, mac), body,
                   "duplicate header");
    assert_refused(&fixture, format(lines, sizeof lines, "X-Hub-Signature-256: sha256=%064d\nx-hub-signature-256: sha256=%s\n", 0, mac), body,
                   "duplicate header");
    /* What takes no part in the judgement may be repeated. */
    assert_accepted(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\nvia: a\nvia: b\n", mac), body);
    /* The id decides what is a duplicate: it must not be ambiguous either. */
    assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\nx-github-delivery: a\nx-github-delivery: b\n", mac), body,
                   "duplicate header");
    close_source(&fixture);
}

static void test_digest_of_another_length_is_refused(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    open_github(&fixture);
    char mac[65], lines[300];
    hex_mac(key, body, mac);
    for (int len = 0; len < 64; len++)
        assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%.*s\n", len, mac), body,
                       len % 2 ? "unreadable signature" : "bad signature");
    assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s00\n", mac), body, "bad signature");
    assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s%s\n", mac, mac), body, "bad signature");
    assert_accepted(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", mac), body);
    close_source(&fixture);
}

static void test_hex_is_lower_case_unless_the_scheme_says_otherwise(void **state)
{
    (void)state;
    struct fixture strict = {0}, lax = {0};
    open_github(&strict);
    char mac[65], upper[65], lines[200];
    hex_mac(key, body, mac);
    for (size_t i = 0; i < sizeof mac; i++) upper[i] = mac[i] >= 'a' ? (char)(mac[i] - 32) : mac[i];
    assert_accepted(&strict, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", mac), body);
    assert_refused(&strict, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", upper), body, "unreadable signature");
    assert_refused(&strict, format(lines, sizeof lines, "x-hub-signature-256: SHA256=%s\n", mac), body, "missing signature");
    add_secret(&lax, "verification_token", bw_slice_of(key));
    open_source(&lax, "notion"); /* any_case: true */
    assert_accepted(&lax, format(lines, sizeof lines, "x-notion-signature: sha256=%s\n", upper), body);
    assert_refused(&lax, format(lines, sizeof lines, "x-notion-signature: sha256=%.63sg\n", upper), body, "unreadable signature");
    close_source(&strict);
    close_source(&lax);
}

static void test_no_signature_at_all_is_refused(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    open_github(&fixture);
    static const char *const lists[] = {"", "sha256", "=", ",", "sha256=", "sha1=00", " "};
    char mac[65], lines[200];
    assert_refused(&fixture, "accept: */*\n", body, "missing signature");
    for (size_t i = 0; i < COUNT(lists); i++)
        assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature-256: %s\n", lists[i]), body, NULL);
    assert_accepted(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", hex_mac(key, body, mac)), body);
    close_source(&fixture);
}

static void test_base64_must_be_canonical(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char mac[64], other[64], lines[200];
    size_t n = 0;
    char text[64];
    add_secret(&fixture, "client_secret", bw_slice_of(key));
    open_source(&fixture, "shopify");
    do base64_mac(key, strlen(key), format(text, sizeof text, "{\"n\":%zu}", n++), mac);
    while (!strpbrk(mac, "+/")); /* a digest that the URL alphabet writes differently */
    assert_accepted(&fixture, format(lines, sizeof lines, "x-shopify-hmac-sha256: %s\n", mac), text);
    strcpy(other, mac);
    for (char *c = other; *c; c++) *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    assert_refused(&fixture, format(lines, sizeof lines, "x-shopify-hmac-sha256: %s\n", other), text, "unreadable signature");
    assert_refused(&fixture, format(lines, sizeof lines, "x-shopify-hmac-sha256: %.43s\n", mac), text, "unreadable signature"); /* no padding */
    assert_refused(&fixture, format(lines, sizeof lines, "x-shopify-hmac-sha256: %.10s %s\n", mac, mac + 10), text, "unreadable signature");
    strcpy(other, mac);
    other[42]++; /* bits behind the last byte: another spelling of the same digest */
    assert_refused(&fixture, format(lines, sizeof lines, "x-shopify-hmac-sha256: %s\n", other), text, "unreadable signature");
    close_source(&fixture);
}

static void test_any_of_several_signatures_of_the_right_version_is_enough(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    open_standard(&fixture);
    char mac[64], wrong[64], lines[1600], list[1500];
    standard_mac("msg_1", "1760000000", mac);
    standard_mac("msg_2", "1760000000", wrong);
    const char *head = "webhook-id: msg_1\nwebhook-timestamp: 1760000000\nwebhook-signature";
    assert_accepted(&fixture, format(lines, sizeof lines, "%s: v1,%s v1,%s\n", head, wrong, mac), body);
    assert_refused(&fixture, format(lines, sizeof lines, "%s: v1,%s v1,%s\n", head, wrong, wrong), body, "bad signature");
    assert_accepted(&fixture, format(lines, sizeof lines, "%s: v1a,%s v2,%s v1,%s\n", head, wrong, wrong, mac), body);
    assert_refused(&fixture, format(lines, sizeof lines, "%s: v1a,%s v2,%s\n", head, mac, mac), body, "missing signature"); /* other algorithms */
    assert_refused(&fixture, format(lines, sizeof lines, "%s: %s\n", head, mac), body, "missing signature");
    /* Sixteen are tried: a longer list is somebody guessing. */
    size_t len = 0;
    for (int i = 0; i < 15; i++) len += strlen(format(list + len, sizeof list - len, "v1,%s ", wrong));
    assert_accepted(&fixture, format(lines, sizeof lines, "%s: %sv1,%s\n", head, list, mac), body);
    assert_refused(&fixture, format(lines, sizeof lines, "%s: %sv1,%s v1,%s\n", head, list, wrong, mac), body, "bad signature");
    close_source(&fixture);
}

static void test_rotation_accepts_old_and_new_secret(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char mac[65], lines[200];
    static const char *const good[] = {"new-secret", "old-secret", "older-secret"};
    for (size_t i = 0; i < COUNT(good); i++) add_secret(&fixture, "webhook_secret", bw_slice_of(good[i]));
    open_source(&fixture, "github");
    for (size_t i = 0; i < COUNT(good); i++)
        assert_accepted(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", hex_mac(good[i], body, mac)), body);
    assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", hex_mac("oldest-secret", body, mac)), body,
                   "bad signature");
    close_source(&fixture);
}

static void test_more_secrets_than_are_tried_is_an_error(void **state)
{
    (void)state;
    for (int count = 16; count <= 17; count++) {
        struct fixture fixture = {0};
        for (int i = 0; i < count; i++) add_secret(&fixture, "webhook_secret", BW_SLICE("secret"));
        assert_int_equal(try_open(&fixture, "github", NULL), count == 16);
        if (count == 17) assert_string_equal(fixture.errs.items[0].code, "source.too_many_secrets");
        close_source(&fixture);
    }
}

static void test_raw_bytes_are_signed_not_their_meaning(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    open_github(&fixture);
    char mac[65], lines[200];
    format(lines, sizeof lines, "content-type: application/json\nx-hub-signature-256: sha256=%s\n", hex_mac(key, "{\"a\":1}", mac));
    assert_accepted(&fixture, lines, "{\"a\":1}");
    assert_refused(&fixture, lines, "{\"a\": 1}", "bad signature");
    assert_refused(&fixture, lines, "{\"a\":1}\n", "bad signature");
    assert_refused(&fixture, lines, "{\"\\u0061\":1}", "bad signature");
    /* Bytes that are no UTF-8 are bytes like any other. */
    format(lines, sizeof lines, "content-type: text/plain\nx-hub-signature-256: sha256=%s\n", hex_mac(key, "\xff\xfe", mac));
    assert_accepted(&fixture, lines, "\xff\xfe");
    assert_refused(&fixture, lines, "\xef\xbf\xbd\xef\xbf\xbd", "bad signature");
    close_source(&fixture);
}

static void test_the_algorithm_is_the_schemes_never_the_messages(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    open_github(&fixture);
    char mac[65], lines[400];
    unsigned char raw[64];
    char sha1[129], sha512[129];
    unsigned len;
    HMAC(EVP_sha1(), key, (int)strlen(key), (const unsigned char *)body, strlen(body), raw, &len);
    bw_hex_encode(raw, len, sha1);
    HMAC(EVP_sha512(), key, (int)strlen(key), (const unsigned char *)body, strlen(body), raw, &len);
    bw_hex_encode(raw, len, sha512);
    assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature: sha1=%s\n", sha1), body, "missing signature");
    assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha1=%s\n", sha1), body, "missing signature");
    assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", sha1), body, "bad signature");
    assert_refused(&fixture, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", sha512), body, "bad signature");
    assert_accepted(&fixture,
                    format(lines, sizeof lines, "x-hub-signature: sha1=%s\nx-hub-signature-256: sha256=%s\n", sha1, hex_mac(key, body, mac)), body);
    close_source(&fixture);
}

static void test_empty_body_is_refused_where_the_sender_never_sends_one(void **state)
{
    (void)state;
    struct fixture strict = {0}, lax = {0};
    open_github(&strict);
    open_standard(&lax);
    char mac[65], coded[64], lines[300];
    assert_refused(&strict, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", hex_mac(key, "", mac)), "", "empty body");
    assert_accepted(&strict, format(lines, sizeof lines, "x-hub-signature-256: sha256=%s\n", hex_mac(key, " ", mac)), " ");
    base64_mac(STANDARD_KEY, strlen(STANDARD_KEY), "msg_1.1760000000.", coded);
    assert_accepted(&lax, format(lines, sizeof lines, "webhook-id: msg_1\nwebhook-timestamp: 1760000000\nwebhook-signature: v1,%s\n", coded), "");
    close_source(&strict);
    close_source(&lax);
}

/* "a" "." "1.b" and "a.1" "." "b" are the same signed bytes: a separator inside a part lets anybody move the border. */
static void test_part_that_holds_the_separator_is_ambiguous(void **state)
{
    (void)state;
    static char *refs[] = {(char *)(uintptr_t) "json:/delivery"};
    static const char *const bodies[] = {body, "{\"delivery\":\"d.1\"}"};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct fixture fixture = {0};
        char mac[64], message[200], lines[300];
        add_secret(&fixture, "signing_secret", BW_SLICE("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="));
        if (i) { /* another dedupe id changes nothing about what is signed */
            fixture.config.dedupe_refs = refs;
            fixture.config.dedupe_ref_count = 1;
        }
        open_source(&fixture, "standard-webhooks");
        base64_mac(STANDARD_KEY, 32, format(message, sizeof message, "msg_1.1760000000.%s", bodies[i]), mac);
        assert_accepted(&fixture,
                        format(lines, sizeof lines,
                               "content-type: application/json\nwebhook-id: msg_1\nwebhook-timestamp: 1760000000\nwebhook-signature: v1,%s\n", mac),
                        bodies[i]);
        base64_mac(STANDARD_KEY, 32, format(message, sizeof message, "msg.1.1760000000.%s", bodies[i]), mac);
        assert_refused(&fixture,
                       format(lines, sizeof lines,
                              "content-type: application/json\nwebhook-id: msg.1\nwebhook-timestamp: 1760000000\nwebhook-signature: v1,%s\n", mac),
                       bodies[i], "ambiguous signed part");
        close_source(&fixture);
    }
}

static void test_bound_url_is_the_configured_one(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char mac[64], message[200], lines[200];
    add_secret(&fixture, "signature_key", bw_slice_of(key));
    open_source(&fixture, "square");
    base64_mac(key, strlen(key), format(message, sizeof message, "https://bellwire.example/in/test%s", body), mac);
    assert_accepted(&fixture, format(lines, sizeof lines, "host: evil.example\nx-square-hmacsha256-signature: %s\n", mac), body);
    base64_mac(key, strlen(key), format(message, sizeof message, "https://evil.example/in/test%s", body), mac);
    assert_refused(&fixture, format(lines, sizeof lines, "host: evil.example\nx-square-hmacsha256-signature: %s\n", mac), body, "bad signature");
    close_source(&fixture);
}

static void test_signature_inside_the_body_is_read_strictly(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char mac[65], text[400];
    add_secret(&fixture, "signing_key", bw_slice_of(key));
    open_source(&fixture, "mailgun");
    hex_mac(key, "1760000000tok", mac);
    const char *form = "{\"signature\":{\"timestamp\":\"1760000000\",\"token\":\"tok\",\"signature\":\"%s\"},\"event-data\":{\"event\":\"opened\"}%s";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    assert_accepted(&fixture, "", format(text, sizeof text, form, mac, "}"));
    assert_refused(&fixture, "", format(text, sizeof text, form, mac, ""), "unreadable body"); /* cut */
    assert_refused(&fixture, "", format(text, sizeof text, form, mac, ",\"signature\":{}}"),
                   "unreadable body"); /* a key twice: which one is meant? */
    mac[0] ^= 1;
    assert_refused(&fixture, "", format(text, sizeof text, form, mac, "}"), NULL);
#pragma GCC diagnostic pop
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeated_signature_header_is_refused),
        cmocka_unit_test(test_digest_of_another_length_is_refused),
        cmocka_unit_test(test_hex_is_lower_case_unless_the_scheme_says_otherwise),
        cmocka_unit_test(test_no_signature_at_all_is_refused),
        cmocka_unit_test(test_base64_must_be_canonical),
        cmocka_unit_test(test_any_of_several_signatures_of_the_right_version_is_enough),
        cmocka_unit_test(test_rotation_accepts_old_and_new_secret),
        cmocka_unit_test(test_more_secrets_than_are_tried_is_an_error),
        cmocka_unit_test(test_raw_bytes_are_signed_not_their_meaning),
        cmocka_unit_test(test_the_algorithm_is_the_schemes_never_the_messages),
        cmocka_unit_test(test_empty_body_is_refused_where_the_sender_never_sends_one),
        cmocka_unit_test(test_part_that_holds_the_separator_is_ambiguous),
        cmocka_unit_test(test_bound_url_is_the_configured_one),
        cmocka_unit_test(test_signature_inside_the_body_is_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
