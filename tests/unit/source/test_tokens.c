/* Web tokens and fetched keys: what is believed, what is not, and when a key is asked for. Tokens are made here, by OpenSSL alone. */
#include "source/key_ring.h"
#include "source/public_key.h"
#include "token_fixture.h"
#include <openssl/pem.h>

static const char body[] = "{\"id\":\"e1\",\"event\":\"room_started\",\"webhook_type\":\"ITEM\"}";

static const char *body_hash(bool is_hex, char out[65])
{
    unsigned char hash[32];
    size_t len;
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, body, strlen(body), hash, &len));
    for (size_t i = 0; is_hex && i < 32; i++) snprintf(out + 2 * i, 3, "%02x", hash[i]);
    if (!is_hex) EVP_EncodeBlock((unsigned char *)out, hash, 32);
    return out;
}

static bool keeps_der; /* of an ECDSA signature: not what a token has, but what OpenSSL would take */

/* key NULL: HMAC with `secret` */
static const char *make_token(const char *header, const char *claims, EVP_PKEY *key, const char *secret, char out[TOKEN_SIZE])
{
    const struct signing how = {.digest = "SHA256", .part = keeps_der ? 0 : 32, .key = key, .secret = secret};
    return make_token_as(header, claims, &how, out);
}

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

/* The first "%s" is the hash. */
static void fill(const char *text, const char *hash, char out[300])
{
    const char *hole = strstr(text, "%s");
    assert_non_null(hole);
    format(out, 300, "%.*s%s%s", (int)(hole - text), text, hash, hole + 2);
}

static void test_shared_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *header, *claims, *secret, *reason; /* %s: the hash */
    } rows[] = {
        {HS256, "{\"iss\":\"api\",\"exp\":1760000060,\"sha256\":\"%s\"}", "s3cret", "verified"},
        {HS256, "{\"iss\":\"api\",\"exp\":1759999991,\"sha256\":\"%s\"}", "s3cret", "verified"}, /* leeway */
        {HS256, "{\"iss\":\"api\",\"exp\":1759999990,\"sha256\":\"%s\"}", "s3cret", "stale timestamp"},
        {HS256, "{\"iss\":\"api\",\"nbf\":1760000011,\"exp\":1760000060,\"sha256\":\"%s\"}", "s3cret", "timestamp in the future"},
        {HS256, "{\"iss\":\"api\",\"sha256\":\"%s\"}", "s3cret", "missing timestamp"},
        {HS256, "{\"iss\":\"api\",\"exp\":\"1760000060\",\"sha256\":\"%s\"}", "s3cret", "unreadable timestamp"},
        {HS256, "{\"iss\":\"other\",\"exp\":1760000060,\"sha256\":\"%s\"}", "s3cret", "a claim of the token is another one"},
        {HS256, "{\"exp\":1760000060,\"sha256\":\"%s\"}", "s3cret", "a claim of the token is another one"},
        {HS256, "{\"iss\":\"api\",\"exp\":1760000060,\"sha256\":\"x%s\"}", "s3cret", "the token is for another body"},
        {HS256, "{\"iss\":\"api\",\"exp\":1760000060,\"sha255\":\"%s\"}", "s3cret", "the token is for another body"},
        {HS256, "{\"iss\":\"api\",\"exp\":1760000060,\"sha256\":\"%s\"}", "other", "bad signature"},
        {HS256, "{\"iss\":\"api\",\"iss\":\"api\",\"exp\":1760000060,\"sha256\":\"%s\"}", "s3cret", "unreadable token"},
        {"{\"alg\":\"none\"}", "{\"iss\":\"api\",\"exp\":1760000060,\"sha256\":\"%s\"}", "s3cret", "an algorithm that the scheme does not allow"},
        {"{\"alg\":\"HS512\"}", "{\"iss\":\"api\",\"exp\":1760000060,\"sha256\":\"%s\"}", "s3cret", "an algorithm that the scheme does not allow"},
        {"{\"alg\":\"HS256\",\"crit\":[\"x\"]}", "{\"iss\":\"api\",\"exp\":1760000060,\"sha256\":\"%s\"}", "s3cret",
         "the token wants something that is not known here"},
        {"{\"alg\":[\"HS256\"]}", "{\"iss\":\"api\",\"exp\":1760000060,\"sha256\":\"%s\"}", "s3cret", "unreadable token"},
    };
    struct fixture fixture = {0};
    char hash[65], claims[300], token[4000], lines[4100];
    add_secret(&fixture, "api_secret", BW_SLICE("s3cret"));
    add_secret(&fixture, "api_key", BW_SLICE("api"));
    open_source(&fixture, "livekit");
    body_hash(false, hash);
    for (size_t i = 0; i < COUNT(rows); i++) {
        fill(rows[i].claims, hash, claims);
        format(lines, sizeof lines, "authorization: %s\n", make_token(rows[i].header, claims, NULL, rows[i].secret, token));
        assert_verdict_at(&fixture, lines, body, NOW_MS, i < 2 ? BW_VERIFIED : BW_REFUSED, rows[i].reason);
    }
    fill(rows[0].claims, hash, claims);
    make_token(HS256, claims, NULL, "s3cret", token);
    *strrchr(token, '.') = '\0';
    format(lines, sizeof lines, "authorization: %s\n", token);
    assert_refused(&fixture, lines, body, "unreadable token");
    format(lines, sizeof lines, "authorization: %s.\n", token); /* no signature at all */
    assert_refused(&fixture, lines, body, "unreadable token");
    close_source(&fixture);
}

/* Vonage: the hash in hex, behind "Bearer ", and no older than five minutes. */
static void test_vonage(void **state)
{
    (void)state;
    static const struct {
        const char *claims, *prefix, *reason;
    } rows[] = {
        {"{\"iat\":1760000000,\"payload_hash\":\"%s\"}", "Bearer ", "verified"},
        {"{\"iat\":1759999700,\"payload_hash\":\"%s\"}", "bearer ", "verified"},
        {"{\"iat\":1759999699,\"payload_hash\":\"%s\"}", "Bearer ", "stale timestamp"},
        {"{\"payload_hash\":\"%s\"}", "Bearer ", "missing timestamp"},
        {"{\"iat\":1760000000,\"payload_hash\":\"%s00\"}", "Bearer ", "the token is for another body"},
        {"{\"iat\":1760000000,\"payload_hash\":\"%s\"}", "", "unreadable token"},
    };
    struct fixture fixture = {0};
    char hash[65], claims[300], token[4000], lines[4100];
    add_secret(&fixture, "signature_secret", BW_SLICE("s3cret"));
    open_source(&fixture, "vonage");
    body_hash(true, hash);
    for (size_t i = 0; i < COUNT(rows); i++) {
        fill(rows[i].claims, hash, claims);
        format(lines, sizeof lines, "authorization: %s%s\n", rows[i].prefix, make_token(HS256, claims, NULL, "s3cret", token));
        assert_verdict_at(&fixture, lines, body, NOW_MS, i < 2 ? BW_VERIFIED : BW_REFUSED, rows[i].reason);
    }
    close_source(&fixture);
}

static void test_a_key_is_asked_for_once_and_only_when_all_else_is_good(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    char hash[65], claims[300], token[4000], good[4100], stale[4100];
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), *other = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    struct bw_key_ring *ring = bw_key_ring_new();
    add_secret(&fixture, "client_id", BW_SLICE("id"));
    add_secret(&fixture, "secret", BW_SLICE("sec\"ret"));
    open_source(&fixture, "plaid");
    snprintf(claims, sizeof claims, "{\"iat\":1760000000,\"request_body_sha256\":\"%s\"}", body_hash(true, hash));
    format(good, sizeof good, "plaid-verification: %s\n", make_token("{\"alg\":\"ES256\",\"kid\":\"k1\"}", claims, key, NULL, token));
    snprintf(claims, sizeof claims, "{\"iat\":1759999699,\"request_body_sha256\":\"%s\"}", hash);
    format(stale, sizeof stale, "plaid-verification: %s\n", make_token("{\"alg\":\"ES256\",\"kid\":\"k1\"}", claims, key, NULL, token));
    assert_string_equal(judge_with(&fixture, ring, stale, body, NOW_MS, &scratch).reason, "stale timestamp"); /* nobody is asked for that */
    struct bw_judgement out = judge_with(&fixture, ring, good, body, NOW_MS, &scratch);
    assert_int_equal(out.verdict, BW_UNDECIDED);
    assert_true(out.is_mine && !out.has_failed && out.wish.kind == BW_FETCH_KEY_SET && bw_slice_is(out.wish.at, "/key"));
    assert_true(bw_slice_is(out.wish.url, "https://production.plaid.com/webhook_verification_key/get"));
    assert_true(bw_slice_is(out.wish.post, "{\"client_id\":\"id\",\"secret\":\"sec\\\"ret\",\"key_id\":\"k1\"}"));
    out = judge_with(&fixture, ring, good, body, NOW_MS, &scratch);
    assert_true(out.verdict == BW_UNDECIDED && !out.is_mine && !out.has_failed); /* the second one waits with the first */
    put(ring, out.wish.ring_url, "k1", NULL, NOW_MS);
    out = judge_with(&fixture, ring, good, body, NOW_MS + 1000, &scratch);
    assert_true(out.verdict == BW_UNDECIDED && out.has_failed);
    out = judge_with(&fixture, ring, good, body, NOW_MS + 31000, &scratch);
    assert_true(out.verdict == BW_UNDECIDED && out.is_mine);
    put(ring, out.wish.ring_url, "k1", other, NOW_MS + 31000);
    assert_string_equal(judge_with(&fixture, ring, good, body, NOW_MS + 32000, &scratch).reason, "bad signature");
    put(ring, BW_SLICE("https://production.plaid.com/webhook_verification_key/get#k1"), "k1", key, NOW_MS + 33000);
    assert_string_equal(judge_with(&fixture, ring, good, body, NOW_MS + 33000, &scratch).reason, "verified");
    assert_string_equal(judge_with(&fixture, ring, good, "{}", NOW_MS + 33000, &scratch).reason, "the token is for another body");
    assert_int_equal(judge_with(&fixture, NULL, good, body, NOW_MS, &scratch).verdict, BW_UNDECIDED); /* no ring at all */
    snprintf(claims, sizeof claims, "{\"iat\":1760000000,\"request_body_sha256\":\"%s\"}", hash);
    format(stale, sizeof stale, "plaid-verification: %s\n", make_token("{\"alg\":\"ES256\"}", claims, key, NULL, token));
    assert_string_equal(judge_with(&fixture, ring, stale, body, NOW_MS, &scratch).reason, "the token does not say which key it is signed with");
    bw_buf_free(&scratch);
    bw_key_ring_free(ring);
    close_source(&fixture);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

#define CERTS "https://www.googleapis.com/oauth2/v3/certs"

static void test_a_published_key_is_no_shared_one_and_each_claim_counts(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    struct bw_key_ring *ring = bw_key_ring_new();
    char token[4000], lines[4100];
    static const char claims[] = "{\"aud\":[\"x\",\"us\"],\"email\":\"a@b\",\"email_verified\":true,\"exp\":1760000100}";
    add_option(&fixture, "audience=us");
    add_option(&fixture, "email=a@b");
    open_source(&fixture, "google-pub-sub");
    put(ring, BW_SLICE(CERTS), "r", rsa, NOW_MS);
    format(lines, sizeof lines, "authorization: Bearer %s\n", make_token("{\"alg\":\"RS256\",\"kid\":\"r\"}", claims, rsa, NULL, token));
    struct bw_judgement out = judge_with(&fixture, ring, lines, body, NOW_MS, &scratch);
    assert_string_equal(out.reason, "verified");
    assert_false(out.event_trusted); /* nobody signs this body */
    format(lines, sizeof lines, "authorization: Bearer %s\n", make_token("{\"alg\":\"RS256\",\"kid\":\"q\"}", claims, rsa, NULL, token));
    assert_string_equal(judge_with(&fixture, ring, lines, body, NOW_MS, &scratch).reason, "unknown key");
    out = judge_with(&fixture, ring, lines, body, NOW_MS + 61000, &scratch); /* a new one may have come */
    assert_true(out.verdict == BW_UNDECIDED && out.is_mine);
    format(lines, sizeof lines, "authorization: Bearer %s\n",
           make_token("{\"alg\":\"RS256\",\"kid\":\"r\"}", "{\"aud\":\"x\",\"email\":\"a@b\",\"email_verified\":true,\"exp\":1760000100}", rsa, NULL,
                      token));
    assert_string_equal(judge_with(&fixture, ring, lines, body, NOW_MS, &scratch).reason, "a claim of the token is another one");
    /* the public key as an HMAC key, and a key of another kind under the same id */
    format(lines, sizeof lines, "authorization: Bearer %s\n", make_token("{\"alg\":\"HS256\",\"kid\":\"r\"}", claims, NULL, "k", token));
    assert_string_equal(judge_with(&fixture, ring, lines, body, NOW_MS, &scratch).reason, "an algorithm that the scheme does not allow");
    put(ring, BW_SLICE(CERTS), "r", ec, NOW_MS);
    keeps_der = true;
    format(lines, sizeof lines, "authorization: Bearer %s\n", make_token("{\"alg\":\"RS256\",\"kid\":\"r\"}", claims, ec, NULL, token));
    assert_string_equal(judge_with(&fixture, ring, lines, body, NOW_MS, &scratch).reason, "bad signature");
    keeps_der = false;
    bw_buf_free(&scratch);
    bw_key_ring_free(ring);
    close_source(&fixture);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
}

static void test_tokens_for_anybody_are_no_configuration(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    assert_false(try_open(&fixture, "google-pub-sub", NULL));
    assert_string_equal(fixture.errs.items[0].code, "source.no_claim");
    close_source(&fixture);
}

/* ---- certificates ---- */

static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

static void test_certificates_are_looked_at(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool chain;
        int offset;
        size_t bits;
        const char *code; /* NULL: taken */
    } rows[] = {
        {"*.paypal.example", false, 0, 2048, NULL},
        {"", false, 0, 2048, NULL},
        {"x.paypal.example", false, 0, 2048, NULL},
        {"*.ypal.example", false, 0, 2048, "key.name"},
        {"paypal.example", false, 0, 2048, "key.name"},
        {"*.paypal.example", false, 7200, 2048, "key.expired"},
        {"*.paypal.example", false, -7200, 2048, "key.expired"},
        {"*.paypal.example", true, 0, 2048, "key.chain"},
        {"*.paypal.example", false, 0, 1024, "key.weak"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", rows[i].bits), *read;
        X509 *certificate = make_certificate(key, "x.paypal.example");
        BIO *bio = BIO_new(BIO_s_mem());
        char *text;
        struct bw_error err;
        int64_t until_s = 0;
        assert_true(PEM_write_bio_X509(bio, certificate));
        long len = BIO_get_mem_data(bio, &text);
        const struct bw_certificate_rules rules = {bw_slice_of(rows[i].name), rows[i].chain, (int64_t)time(NULL) + rows[i].offset};
        read = bw_certificate_read((struct bw_slice){text, (size_t)len}, &rules, &until_s, &err);
        if ((read != NULL) != (rows[i].code == NULL)) fail_msg("row %zu: %s", i, read ? "taken" : err.message);
        if (rows[i].code) assert_string_equal(err.code, rows[i].code);
        if (read) assert_true(until_s > (int64_t)time(NULL) + 3000 && EVP_PKEY_eq(read, key) == 1);
        EVP_PKEY_free(read);
        EVP_PKEY_free(key);
        X509_free(certificate);
        BIO_free(bio);
    }
}

static void test_addresses_of_keys(void **state)
{
    (void)state;
    static const struct {
        const char *url, *pattern;
        bool fits;
    } rows[] = {
        {"https://sns.us-east-1.amazonaws.com/a.pem", "sns.*.amazonaws.com", true},
        {"https://sns.s3.amazonaws.com/a.pem", "sns.*.amazonaws.com", false},
        {"https://sns.a.b.amazonaws.com/a.pem", "sns.*.amazonaws.com", false},
        {"https://sns.us-east-1.amazonaws.com.evil.example/a.pem", "sns.*.amazonaws.com", false},
        {"https://SNS.us-east-1.amazonaws.com/a.pem", "sns.*.amazonaws.com", false},
        {"http://sns.us-east-1.amazonaws.com/a.pem", "sns.*.amazonaws.com", false},
        {"https://sns.us-east-1.amazonaws.com:444/a.pem", "sns.*.amazonaws.com", false},
        {"https://sns.us-east-1.amazonaws.com@evil.example/a.pem", "sns.*.amazonaws.com", false},
        {"https://sns.us-east-1.amazonaws.com/a.pem?x", "sns.*.amazonaws.com", false},
        {"https://sns.us-east-1.amazonaws.com/a.pem#x", "sns.*.amazonaws.com", false},
        {"https://sns.us-east-1.amazonaws.com/a .pem", "sns.*.amazonaws.com", false},
        {"https://sns.us-east-1.amazonaws.com", "sns.*.amazonaws.com", false},
        {"https://k.example/k", "k.example", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bw_slice host, path;
        bool fits = bw_url_is_plain(bw_slice_of(rows[i].url), &host, &path) && bw_host_matches(host, bw_slice_of(rows[i].pattern));
        if (fits != rows[i].fits) fail_msg("%s", rows[i].url);
    }
}

/* The sample code of Plaid: a key whose `expired_at` is not null is not to be trusted. */
static void test_a_key_that_is_given_up_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        bool is_good;
    } rows[] = {{"", true}, {",\"expired_at\":null,\"created_at\":1560466150", true}, {",\"expired_at\":1560466150", false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[400];
        format(text, sizeof text, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"%s}", rows[i].more);
        json_t *jwk = json_loads(text, 0, NULL);
        EVP_PKEY *key = bw_jwk_read(jwk);
        assert_int_equal(key != NULL, rows[i].is_good);
        EVP_PKEY_free(key);
        json_decref(jwk);
    }
}

static void test_the_ring_is_bounded_and_keeps_what_is_good(void **state)
{
    (void)state;
    struct bw_key_ring *ring = bw_key_ring_new();
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *found;
    char url[100];
    put(ring, BW_SLICE("https://a.example/k"), "", key, 1000);
    for (int i = 0; i < 1000; i++) {
        format(url, sizeof url, "https://a.example/%d", i);
        assert_int_equal(bw_key_ring_find(ring, bw_slice_of(url), BW_SLICE(""), 2000 + i, &found), BW_RING_WANTED);
    }
    assert_int_equal(bw_key_ring_find(ring, BW_SLICE("https://a.example/k"), BW_SLICE(""), 9000, &found), BW_RING_FOUND);
    EVP_PKEY_free(found);
    assert_int_equal(bw_key_ring_find(ring, BW_SLICE("https://a.example/k"), BW_SLICE(""), 3601000, &found), BW_RING_WANTED); /* its time is over */
    EVP_PKEY_free(key);
    bw_key_ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_tokens),
        cmocka_unit_test(test_vonage),
        cmocka_unit_test(test_a_key_is_asked_for_once_and_only_when_all_else_is_good),
        cmocka_unit_test(test_a_published_key_is_no_shared_one_and_each_claim_counts),
        cmocka_unit_test(test_tokens_for_anybody_are_no_configuration),
        cmocka_unit_test(test_certificates_are_looked_at),
        cmocka_unit_test(test_addresses_of_keys),
        cmocka_unit_test(test_a_key_that_is_given_up_is_none),
        cmocka_unit_test(test_the_ring_is_bounded_and_keeps_what_is_good),
    };
    bw_json_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
