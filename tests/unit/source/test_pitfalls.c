/* What has cost others an event, or let a forged one in: one rule each, at the scheme that shows it best. */
#include "source_fixture.h"
#include <openssl/pem.h>

/* "%s" in it: the signature */
static const char *with(const char *text, const char *signature, char out[600])
{
    const char *hole = strstr(text, "%s");
    assert_non_null(hole);
    return format(out, 600, "%.*s%s%s", (int)(hole - text), text, signature, hole + 2);
}

/* The id of the message is empty, and that is what is signed: it would be no id. */
static void test_a_signed_header_says_something(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char sig[65], lines[600];
    add_secret(&fixture, "signing_secret", BW_SLICE("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"));
    open_source(&fixture, "standard-webhooks");
    base64_mac("secret-secret-secret-secret", 27, ".1760000000.{}", sig);
    assert_refused(&fixture, with("webhook-id: \nwebhook-timestamp: 1760000000\nwebhook-signature: v1,%s\n", sig, lines), "{}",
                   "a signed part is missing or repeated");
    close_source(&fixture);
}

/* X answers anybody with the MAC of a token: no event is of what a token is made of. */
static void test_the_answer_of_x_signs_no_event(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char sig[65], lines[600];
    static const char *const bodies[] = {"12345", "true", ""};
    add_secret(&fixture, "secret", BW_SLICE("k"));
    open_source(&fixture, "x-twitter");
    assert_accepted(&fixture, with("x-twitter-webhooks-signature: sha256=%s\n", base64_mac("k", 1, "{}", sig), lines), "{}");
    for (size_t i = 0; i < COUNT(bodies); i++) {
        base64_mac("k", 1, bodies[i], sig);
        assert_refused(&fixture, with("x-twitter-webhooks-signature: sha256=%s\n", sig, lines), bodies[i], NULL);
    }
    close_source(&fixture);
}

/* The names of kinds of authentication have no case, tokens have; and whoever cannot send a header says the token in the URL (CloudEvents). */
static void test_bearer_tokens(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    struct bw_judgement out;
    static const struct {
        const char *query, *header, *reason;
    } rows[] = {
        {"", "Bearer t1", "verified"},
        {"", "bearer t1", "verified"},
        {"", "Bearer T1", "bad token"},
        {"", "Bearert1", "bad token"},
        {"", "Token t1", "bad token"},
        {"", "Bearer  t1", "bad token"},
        {"", "", "missing token"},
        {"access_token=t1", "", "verified"},
        {"access_token=t2", "", "bad token"},
        {"access_token=t2", "bearer t1", "verified"},
        {"access_token=Bearer+t1", "", "bad token"},
        {"access_token=t1&access_token=t1", "", "repeated token"},
    };
    add_secret(&fixture, "token", BW_SLICE("t1"));
    open_source(&fixture, "cloudevents");
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct bw_header headers[] = {{BW_SLICE("ce-specversion"), BW_SLICE("1.0")}, {BW_SLICE("Authorization"), bw_slice_of(rows[i].header)}};
        const struct bw_request request = {.method = BW_SLICE("POST"),
                                           .url = BW_SLICE("https://bellwire.example/in/test"),
                                           .query = bw_slice_of(rows[i].query),
                                           .headers = headers,
                                           .header_count = *rows[i].header ? 2 : 1,
                                           .body = BW_SLICE("{}"),
                                           .now_ms = NOW_MS};
        bw_source_judge(fixture.source, &request, &scratch, &out);
        if (strcmp(out.reason, rows[i].reason)) fail_msg("row %zu: %s", i, out.reason);
    }
    bw_buf_free(&scratch);
    close_source(&fixture);
}

/* A console shows raw bytes in hex or base64, or a key file; the file is as good. Of another kind of key it is not. */
static void test_a_public_key_may_be_a_key_file(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *secret;
        bool is_ed25519, is_taken;
    } rows[] = {
        {"discord", "public_key", true, true},   {"telnyx", "public_key", true, true},          {"sendgrid", "verification_key", false, true},
        {"discord", "public_key", false, false}, {"sendgrid", "verification_key", true, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture fixture = {0};
        EVP_PKEY *key = rows[i].is_ed25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        BIO *bio = BIO_new(BIO_s_mem());
        char *text;
        assert_true(PEM_write_bio_PUBKEY(bio, key));
        long len = BIO_get_mem_data(bio, &text);
        add_secret(&fixture, rows[i].secret, (struct bw_slice){text, (size_t)len});
        bool is_taken = try_open(&fixture, rows[i].scheme, NULL);
        if (is_taken != rows[i].is_taken) fail_msg("row %zu: %s", i, is_taken ? "taken" : fixture.errs.items[0].message);
        close_source(&fixture);
        EVP_PKEY_free(key);
        BIO_free(bio);
    }
}

/* Mollie's own library takes a signature with its prefix and without; while the secret changes there are two headers. */
static void test_mollie_signs_with_a_prefix_or_without(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char sig[65], lines[600], twice[600];
    add_secret(&fixture, "signing_secret", BW_SLICE("k"));
    open_source(&fixture, "mollie");
    hex_mac("k", "{}", sig);
    assert_accepted(&fixture, with("x-mollie-signature: %s\n", sig, lines), "{}");
    assert_accepted(&fixture, with("x-mollie-signature: sha256=%s\n", sig, lines), "{}");
    assert_refused(&fixture, with("x-mollie-signature: sha512=%s\n", sig, lines), "{}", "unreadable signature");
    format(twice, sizeof twice, "x-mollie-signature: sha256=%064d\nx-mollie-signature: sha256=%%s\n", 0);
    assert_accepted(&fixture, with(twice, sig, lines), "{}");
    close_source(&fixture);
}

/* "u:p" in front of the host is no port. */
static void test_twilio_signs_with_user_and_port(void **state)
{
    (void)state;
    static const char *const urls[] = {"https://u:p@h.example/in", "https://u:p@h.example:443/in"};
    for (size_t i = 0; i < COUNT(urls); i++)
        for (size_t k = 0; k < COUNT(urls); k++) {
            struct fixture fixture = {0};
            struct bw_buf scratch = {0};
            struct bw_judgement out;
            unsigned char mac[20];
            unsigned len;
            char sig[64];
            add_secret(&fixture, "auth_token", BW_SLICE("t"));
            open_source(&fixture, "twilio");
            assert_non_null(HMAC(EVP_sha1(), "t", 1, (const unsigned char *)urls[i], strlen(urls[i]), mac, &len));
            EVP_EncodeBlock((unsigned char *)sig, mac, 20);
            const struct bw_header headers[] = {{BW_SLICE("x-twilio-signature"), bw_slice_of(sig)}};
            const struct bw_request request = {.method = BW_SLICE("GET"),
                                               .url = bw_slice_of(urls[k]),
                                               .headers = headers,
                                               .header_count = 1,
                                               .query = BW_SLICE(""),
                                               .body = BW_SLICE(""),
                                               .now_ms = NOW_MS};
            bw_source_judge(fixture.source, &request, &scratch, &out);
            if (out.verdict != BW_VERIFIED) fail_msg("%s for %s: %s", urls[i], urls[k], out.reason);
            bw_buf_free(&scratch);
            close_source(&fixture);
        }
}

static struct bw_judgement post(const struct fixture *fixture, const char *url, const char *lines_text, const char *body, struct bw_buf *scratch)
{
    struct lines lines;
    struct bw_judgement out;
    const char *query = strchr(url, '?');
    split_lines(&lines, bw_slice_of(lines_text));
    const struct bw_request request = {.method = BW_SLICE("POST"),
                                       .url = bw_slice_of(url),
                                       .query = bw_slice_of(query ? query + 1 : ""),
                                       .headers = lines.headers,
                                       .header_count = lines.count,
                                       .body = bw_slice_of(body),
                                       .now_ms = NOW_MS};
    bw_source_judge(fixture->source, &request, scratch, &out);
    return out;
}

static void assert_reason(const struct fixture *fixture, const char *url, const char *lines_text, const char *body, const char *reason)
{
    struct bw_buf scratch = {0};
    const struct bw_judgement out = post(fixture, url, lines_text, body, &scratch);
    if (strcmp(out.reason, reason)) fail_msg("%s\n%s: %s, not %s", url, lines_text, out.reason, reason);
    bw_buf_free(&scratch);
}

/* HubSpot's documents want some characters of the URL decoded, its library does not: both forms are signed somewhere. */
static void test_hubspot_signs_the_url_as_it_is_or_readable(void **state)
{
    (void)state;
    static const char url[] = "https://h.example/in?to=a%40b.c%2fd%3A&x=%20y%2B&z=%4";
    static const struct {
        const char *is_signed, *reason;
    } rows[] = {
        {url, "verified"},
        {"https://h.example/in?to=a@b.c/d:&x=%20y%2B&z=%4", "verified"},
        {"https://h.example/in?to=a@b.c/d:&x= y+&z=%4", "bad signature"},
        {"https://h.example/in?to=a%40b.c/d:&x=%20y%2B&z=%4", "bad signature"},
    };
    struct fixture fixture = {0};
    add_secret(&fixture, "client_secret", BW_SLICE("k"));
    open_source(&fixture, "hubspot");
    for (size_t i = 0; i < COUNT(rows); i++) {
        char message[300], sig[65], lines[600];
        base64_mac("k", 1, format(message, sizeof message, "POST%s{}1760000000000", rows[i].is_signed), sig);
        with("x-hubspot-request-timestamp: 1760000000000\nx-hubspot-signature-v3: %s\n", sig, lines);
        assert_reason(&fixture, url, lines, "{}", rows[i].reason);
    }
    close_source(&fixture);
}

/* Coinbase's documents verify v1 alone, which covers the headers that it names; v0 is what Hook0 had before. */
static void test_coinbase_signs_the_headers_that_it_names(void **state)
{
    (void)state;
#define SENT "content-type: application/json\nx-hook0-id: 7.1\nx-hook0-signature: "
    static const struct {
        const char *message, *lines, *reason;
    } rows[] = {
        {"1760000000.{}", SENT "t=1760000000,v0=%s\n", "verified"},
        {"1760000000.content-type x-hook0-id.application/json.7.1.{}", SENT "t=1760000000,h=content-type x-hook0-id,v1=%s\n", "verified"},
        {"1760000000.content-type x-hook0-id.application/json.7.1.{}", SENT "t=1760000000,v0=00,h=content-type x-hook0-id,v1=%s\n", "verified"},
        {"1760000000.content-type x-hook0-id.application/json.7.1.{}", SENT "t=1760000000,h=x-hook0-id content-type,v1=%s\n", "bad signature"},
        {"1760000000.content-type x-hook0-id.application/json.7.2.{}", SENT "t=1760000000,h=content-type x-hook0-id,v1=%s\n", "bad signature"},
        {"1760000000.x-other..{}", SENT "t=1760000000,h=x-other,v1=%s\n", "bad signature"}, /* it is not there */
        {"1760000000.{}", SENT "t=1760000001,v0=%s\n", "bad signature"},
        {"1759999699.{}", SENT "t=1759999699,v0=%s\n", "stale timestamp"},
        {"1760000000.{}", SENT "t=1760000000,v2=%s\n", "missing signature"},
        {"1760000000.{}", SENT "t=1760000000,h=content-type,v1=%s\n", "bad signature"}, /* each version signs in its own way */
    };
    struct fixture fixture = {0};
    add_secret(&fixture, "secret", BW_SLICE("k"));
    open_source(&fixture, "coinbase-cdp");
    for (size_t i = 0; i < COUNT(rows); i++) {
        char sig[65], lines[600];
        with(rows[i].lines, hex_mac("k", rows[i].message, sig), lines);
        assert_reason(&fixture, "https://h.example/in", lines, "{}", rows[i].reason);
    }
    close_source(&fixture);
}

/* Heroku's names are signed; Coinbase's are when their headers are among those that it names. */
static void test_names_beside_a_signature(void **state)
{
    (void)state;
    static const char release[] = "{\"id\":\"e\",\"resource\":\"release\",\"action\":\"create\"}";
    struct fixture heroku = {0}, coinbase = {0};
    struct bw_buf scratch = {0};
    char sig[65], lines[600];
    add_secret(&heroku, "secret", BW_SLICE("k"));
    add_secret(&coinbase, "secret", BW_SLICE("k"));
    open_source(&heroku, "heroku");
    open_source(&coinbase, "coinbase-cdp");
    with("heroku-webhook-hmac-sha256: %s\n", base64_mac("k", 1, release, sig), lines);
    struct bw_judgement out = post(&heroku, "https://h.example/in", lines, release, &scratch);
    assert_string_equal(out.reason, "verified");
    assert_true(bw_slice_is(out.event, "release.create") && bw_slice_is(out.delivery_id, "e") && out.event_trusted);
    with(SENT "t=1760000000,v0=%s\nx-event-type: onchain.activity.detected\nx-event-id: e\n", hex_mac("k", "1760000000.{}", sig), lines);
    out = post(&coinbase, "https://h.example/in", lines, "{}", &scratch);
    assert_string_equal(out.reason, "verified");
    assert_true(bw_slice_is(out.event, "onchain.activity.detected") && bw_slice_is(out.delivery_id, "e") && !out.event_trusted);
    bw_buf_free(&scratch);
    close_source(&heroku);
    close_source(&coinbase);
}

/* Bird signs the 32 bytes of the body's hash, and the URL. */
static void test_bird_signs_the_bytes_of_the_hash(void **state)
{
    (void)state;
    static const char url[] = "https://h.example/in?a=1";
    struct fixture fixture = {0};
    unsigned char mac[32];
    char message[100] = "1760000000\nhttps://h.example/in?a=1\n", sig[64], lines[600];
    size_t len = strlen(message), hash_len;
    unsigned mac_len;
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, "{}", 2, (unsigned char *)message + len, &hash_len));
    assert_non_null(HMAC(EVP_sha256(), "k", 1, (unsigned char *)message, len + 32, mac, &mac_len));
    EVP_EncodeBlock((unsigned char *)sig, mac, 32);
    add_secret(&fixture, "signing_key", BW_SLICE("k"));
    open_source(&fixture, "bird");
    with("messagebird-request-timestamp: 1760000000\nmessagebird-signature: %s\n", sig, lines);
    assert_reason(&fixture, url, lines, "{}", "verified");
    assert_reason(&fixture, url, lines, "[]", "bad signature");
    assert_reason(&fixture, "https://h.example/in?a=2", lines, "{}", "bad signature");
    close_source(&fixture);
}

/* Those that sign nothing, and what their events are called and told apart by. */
static void test_tokens_and_what_they_name(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *secret, *url, *lines, *body, *name, *id;
    } rows[] = {
#define IN "https://h.example/in"
        {"google-channels", "token", IN, "x-goog-channel-token: t\nx-goog-channel-id: c\nx-goog-message-number: 10\nx-goog-resource-state: exists\n",
         "", "exists", "c:10"},
        {"strava", "token", IN "?token=t", "", "{\"object_type\":\"activity\",\"object_id\":9,\"aspect_type\":\"create\",\"event_time\":5}",
         "activity.create", "activity:9:create:5"},
        {"mailchimp-marketing", "token", IN "?token=t", "content-type: application/x-www-form-urlencoded\n", "type=subscribe&data%5Bid%5D=8",
         "subscribe", NULL},
        {"lark-token", "verification_token", IN, "",
         "{\"schema\":\"2.0\",\"header\":{\"event_id\":\"e\",\"event_type\":\"im.message\",\"token\":\"t\"}}", "im.message", "e"},
        {"lark-token", "verification_token", IN, "", "{\"uuid\":\"e\",\"token\":\"t\",\"event\":{\"type\":\"message\"}}", "message", "e"},
        {"pipedrive", "password", IN, "authorization: Basic dTp0\n",
         "{\"meta\":{\"id\":\"e\",\"timestamp\":\"5\",\"entity\":\"deal\",\"action\":\"change\"}}", "deal.change", "e:5"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture fixture = {0};
        struct bw_buf scratch = {0};
        add_secret(&fixture, rows[i].secret, BW_SLICE("t"));
        if (!strcmp(rows[i].scheme, "pipedrive")) add_secret(&fixture, "username", BW_SLICE("u"));
        if (!strcmp(rows[i].scheme, "strava")) add_secret(&fixture, "verify_token", BW_SLICE("v"));
        open_source(&fixture, rows[i].scheme);
        const struct bw_judgement out = post(&fixture, rows[i].url, rows[i].lines, rows[i].body, &scratch);
        if (strcmp(out.reason, "verified") || !bw_slice_is(out.event, rows[i].name) || out.event_trusted ||
            (rows[i].id && !bw_slice_is(out.delivery_id, rows[i].id)))
            fail_msg("row %zu: %s %.*s %.*s", i, out.reason, (int)out.event.len, out.event.ptr, (int)out.delivery_id.len, out.delivery_id.ptr);
        close_source(&fixture);
        struct fixture another = {0};
        add_secret(&another, rows[i].secret, BW_SLICE("u"));
        if (!strcmp(rows[i].scheme, "pipedrive")) add_secret(&another, "username", BW_SLICE("u"));
        open_source(&another, rows[i].scheme);
        assert_int_equal(post(&another, rows[i].url, rows[i].lines, rows[i].body, &scratch).verdict, BW_REFUSED);
        close_source(&another);
        bw_buf_free(&scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_signed_header_says_something),
        cmocka_unit_test(test_the_answer_of_x_signs_no_event),
        cmocka_unit_test(test_bearer_tokens),
        cmocka_unit_test(test_a_public_key_may_be_a_key_file),
        cmocka_unit_test(test_mollie_signs_with_a_prefix_or_without),
        cmocka_unit_test(test_twilio_signs_with_user_and_port),
        cmocka_unit_test(test_hubspot_signs_the_url_as_it_is_or_readable),
        cmocka_unit_test(test_coinbase_signs_the_headers_that_it_names),
        cmocka_unit_test(test_names_beside_a_signature),
        cmocka_unit_test(test_bird_signs_the_bytes_of_the_hash),
        cmocka_unit_test(test_tokens_and_what_they_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
