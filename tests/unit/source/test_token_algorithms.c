/* The algorithms of web tokens (RFC 7518): each takes what is signed by it, with a key of its own kind and curve, and nothing else. */
#include "source/public_key.h"
#include "token_fixture.h"
#include <openssl/core_names.h>
#include <unistd.h>

static const char claims[] = "{\"iss\":\"acme\"}", body[] = "{\"event\":{\"id\":\"e1\",\"type\":\"user.create\"}}";
#define KEYS_URL "https://keys.acme.example/jwks.json"
#define PUBLIC "alg: jwt\nkeys: {url: '" KEYS_URL "'}\nsig: {from: 'header:x-token'}\n"
#define SHARED "alg: jwt\nkey: {secret: secret}\nsig: {from: 'header:x-token'}\n"

static char folder[] = "/tmp/bellwire-tokens-XXXXXX";
static EVP_PKEY *rsa, *p256, *p384, *p521, *ed25519;

static int make_keys(void **state)
{
    (void)state;
    rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    p256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    p521 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return rsa && p256 && p384 && p521 && ed25519 && mkdtemp(folder) ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(p521);
    EVP_PKEY_free(ed25519);
    return rmdir(folder);
}

static void open_scheme(struct fixture *fixture, const char *head, const char *jwt)
{
    char path[200];
    FILE *file = fopen(format(path, sizeof path, "%s/acme.yaml", folder), "w");
    assert_non_null(file);
    assert_true(fprintf(file, "%s%s\n", head, jwt) > 0);
    assert_int_equal(fclose(file), 0);
    bool is_open = try_open(fixture, "acme", folder);
    unlink(path);
    if (!is_open) fail_msg("%s: %s", jwt, fixture->errs.items[0].message);
}

static const char *text_for(const char *alg, char out[TOKEN_SIZE])
{
    char header[60];
    return signed_part(format(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"k\"}", alg), claims, out);
}

static const char *reason_for(const struct fixture *fixture, struct bw_key_ring *ring, const char *text, const unsigned char *sig, size_t len)
{
    char lines[TOKEN_SIZE + 1000], encoded[900];
    struct bw_buf scratch = {0};
    format(lines, sizeof lines, "x-token: %s.%s\n", text, coded(sig, len, encoded));
    const char *reason = judge_with(fixture, ring, lines, body, NOW_MS, &scratch).reason;
    bw_buf_free(&scratch);
    return reason;
}

struct named {
    const char *name;
    struct signing how;
};
static const struct named shared[] = {
    {"HS256", {"SHA256", 0, NULL, "s3cret"}}, {"HS384", {"SHA384", 0, NULL, "s3cret"}}, {"HS512", {"SHA512", 0, NULL, "s3cret"}}};

static void test_a_shared_key_is_taken_with_the_digest_that_the_token_names(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char text[TOKEN_SIZE];
    unsigned char sig[600];
    add_secret(&fixture, "secret", BW_SLICE("of-tomorrow"));
    add_secret(&fixture, "secret", BW_SLICE("s3cret")); /* each value of a rotation has all digests */
    open_scheme(&fixture, SHARED, "jwt: {algs: [HS256, HS384, HS512]}");
    for (size_t named = 0; named < COUNT(shared); named++)
        for (size_t made = 0; made < COUNT(shared); made++) {
            size_t len = sign_as(&shared[made].how, text_for(shared[named].name, text), sig);
            assert_string_equal(reason_for(&fixture, NULL, text, sig, len), named == made ? "verified" : "bad signature");
            assert_string_equal(reason_for(&fixture, NULL, text, sig, len - 1), "bad signature");
            if (len > 32) assert_string_equal(reason_for(&fixture, NULL, text, sig, 32), "bad signature");
        }
    size_t len = sign_as(&shared[0].how, text_for("RS256", text), sig);
    assert_string_equal(reason_for(&fixture, NULL, text, sig, len), "an algorithm that the scheme does not allow");
    close_source(&fixture);
}

static void test_a_token_chooses_among_the_shared_algorithms_of_its_scheme_only(void **state)
{
    (void)state;
    char text[TOKEN_SIZE], jwt[60];
    unsigned char sig[600];
    for (size_t allowed = 0; allowed < COUNT(shared); allowed++) {
        struct fixture fixture = {0};
        add_secret(&fixture, "secret", BW_SLICE("s3cret"));
        open_scheme(&fixture, SHARED, format(jwt, sizeof jwt, "jwt: {algs: [%s]}", shared[allowed].name));
        for (size_t made = 0; made < COUNT(shared); made++) {
            size_t len = sign_as(&shared[made].how, text_for(shared[made].name, text), sig);
            assert_string_equal(reason_for(&fixture, NULL, text, sig, len),
                                made == allowed ? "verified" : "an algorithm that the scheme does not allow");
        }
        close_source(&fixture);
    }
}

static void test_fusionauth_takes_every_digest(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    unsigned char hash[32];
    char encoded[65], with_hash[200], header[40], token[TOKEN_SIZE], lines[TOKEN_SIZE + 100];
    size_t len;
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, body, strlen(body), hash, &len)); /* of the body: SHA-256 whatever the signature's is */
    EVP_EncodeBlock((unsigned char *)encoded, hash, 32);
    format(with_hash, sizeof with_hash, "{\"request_body_sha256\":\"%s\"}", encoded);
    add_secret(&fixture, "secret", BW_SLICE("s3cret"));
    open_source(&fixture, "fusionauth");
    for (size_t i = 0; i < COUNT(shared); i++) {
        format(header, sizeof header, "{\"alg\":\"%s\"}", shared[i].name);
        format(lines, sizeof lines, "x-fusionauth-signature-jwt: %s\n", make_token_as(header, with_hash, &shared[i].how, token));
        assert_accepted(&fixture, lines, body);
        assert_refused(&fixture, lines, "{}", "the token is for another body");
    }
    close_source(&fixture);
}

#define PUBLIC_COUNT 7
static void list_public(struct named out[PUBLIC_COUNT])
{
    const struct named rows[PUBLIC_COUNT] = {{"RS256", {"SHA256", 0, rsa, NULL}},   {"RS384", {"SHA384", 0, rsa, NULL}},
                                             {"RS512", {"SHA512", 0, rsa, NULL}},   {"ES256", {"SHA256", 32, p256, NULL}},
                                             {"ES384", {"SHA384", 48, p384, NULL}}, {"ES512", {"SHA512", 66, p521, NULL}},
                                             {"EdDSA", {NULL, 0, ed25519, NULL}}};
    memcpy(out, rows, sizeof rows);
}

static void test_a_published_key_is_taken_with_the_algorithm_that_signed(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_key_ring *ring = bw_key_ring_new();
    struct named algs[PUBLIC_COUNT];
    char text[TOKEN_SIZE];
    unsigned char sig[600];
    list_public(algs);
    open_scheme(&fixture, PUBLIC, "jwt: {algs: [RS256, RS384, RS512, ES256, ES384, ES512, EdDSA]}");
    for (size_t made = 0; made < PUBLIC_COUNT; made++) {
        put(ring, BW_SLICE(KEYS_URL), "k", algs[made].how.key, NOW_MS);
        for (size_t named = 0; named < PUBLIC_COUNT; named++) {
            size_t len = sign_as(&algs[made].how, text_for(algs[named].name, text), sig);
            const char *reason = reason_for(&fixture, ring, text, sig, len);
            if (strcmp(reason, named == made ? "verified" : "bad signature"))
                fail_msg("signed by %s, named %s: %s", algs[made].name, algs[named].name, reason);
            assert_string_equal(reason_for(&fixture, ring, text, sig, len - 1), "bad signature");
            assert_string_equal(reason_for(&fixture, ring, text, sig, len / 2), "bad signature");
        }
        size_t len = sign_as(&shared[0].how, text_for("HS256", text), sig);
        assert_string_equal(reason_for(&fixture, ring, text, sig, len), "an algorithm that the scheme does not allow");
    }
    bw_key_ring_free(ring);
    close_source(&fixture);
}

static void test_a_token_chooses_among_the_public_algorithms_of_its_scheme_only(void **state)
{
    (void)state;
    struct bw_key_ring *ring = bw_key_ring_new();
    struct named algs[PUBLIC_COUNT];
    char text[TOKEN_SIZE], jwt[60];
    unsigned char sig[600];
    list_public(algs);
    for (size_t allowed = 0; allowed < PUBLIC_COUNT; allowed++) {
        struct fixture fixture = {0};
        open_scheme(&fixture, PUBLIC, format(jwt, sizeof jwt, "jwt: {algs: [%s]}", algs[allowed].name));
        for (size_t made = 0; made < PUBLIC_COUNT; made++) {
            put(ring, BW_SLICE(KEYS_URL), "k", algs[made].how.key, NOW_MS);
            size_t len = sign_as(&algs[made].how, text_for(algs[made].name, text), sig);
            assert_string_equal(reason_for(&fixture, ring, text, sig, len),
                                made == allowed ? "verified" : "an algorithm that the scheme does not allow");
        }
        close_source(&fixture);
    }
    bw_key_ring_free(ring);
}

/* RFC 7518, 3.4: the algorithm names the curve. The numbers of a smaller curve would fit, and OpenSSL would take them. */
static void test_a_key_on_another_curve_signs_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *name, *digest, *curve;
        int part;
    } rows[] = {
        {"ES256", "SHA256", "secp256k1", 32}, {"ES256", "SHA256", "P-224", 32},           {"ES384", "SHA384", "P-256", 48},
        {"ES384", "SHA384", "secp256k1", 48}, {"ES384", "SHA384", "brainpoolP384r1", 48}, {"ES512", "SHA512", "P-256", 66},
        {"ES512", "SHA512", "P-384", 66},     {"ES512", "SHA512", "brainpoolP512r1", 66},
    };
    struct fixture fixture = {0};
    struct bw_key_ring *ring = bw_key_ring_new();
    char text[TOKEN_SIZE];
    unsigned char sig[600];
    open_scheme(&fixture, PUBLIC, "jwt: {algs: [ES256, ES384, ES512]}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct signing how = {rows[i].digest, rows[i].part, EVP_PKEY_Q_keygen(NULL, NULL, "EC", rows[i].curve), NULL};
        put(ring, BW_SLICE(KEYS_URL), "k", how.key, NOW_MS);
        size_t len = sign_as(&how, text_for(rows[i].name, text), sig);
        const char *reason = reason_for(&fixture, ring, text, sig, len);
        if (strcmp(reason, "bad signature")) fail_msg("%s with a key on %s: %s", rows[i].name, rows[i].curve, reason);
        EVP_PKEY_free(how.key);
    }
    bw_key_ring_free(ring);
    close_source(&fixture);
}

/* RFC 7518, 3.4: R and S in as many bytes as the curve has, zeros in front and all. */
static void test_an_ecdsa_signature_has_the_length_of_its_curve(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_key_ring *ring = bw_key_ring_new();
    struct named algs[PUBLIC_COUNT];
    char text[TOKEN_SIZE];
    unsigned char sig[600], other[600];
    list_public(algs);
    open_scheme(&fixture, PUBLIC, "jwt: {algs: [ES256, ES384, ES512]}");
    for (size_t i = 3; i < 6; i++) {
        struct signing how = algs[i].how;
        put(ring, BW_SLICE(KEYS_URL), "k", how.key, NOW_MS);
        size_t part = (size_t)how.part, len = sign_as(&how, text_for(algs[i].name, text), sig);
        assert_string_equal(reason_for(&fixture, ring, text, sig, len), "verified");
        for (size_t n = 1; n <= 140; n++) {
            memset(sig + len, 0, sizeof sig - len);
            if (n != len) assert_string_equal(reason_for(&fixture, ring, text, sig, n), "bad signature");
        }
        memset(other, 0, sizeof other); /* the same numbers, each with a zero more */
        memcpy(other + 1, sig, part);
        memcpy(other + part + 2, sig + part, part);
        assert_string_equal(reason_for(&fixture, ring, text, other, len + 2), "bad signature");
        memset(other, 0, sizeof other); /* CVE-2021-43571: both numbers zero */
        assert_string_equal(reason_for(&fixture, ring, text, other, len), "bad signature");
        memset(other, 0xff, sizeof other); /* the longest that DER can be */
        assert_string_equal(reason_for(&fixture, ring, text, other, len), "bad signature");
        how.part = 0;
        assert_string_equal(reason_for(&fixture, ring, text, sig, sign_as(&how, text, sig)), "bad signature");
    }
    bw_key_ring_free(ring);
    close_source(&fixture);
}

/* ---- what is published ---- */

static void coordinate(EVP_PKEY *key, const char *name, size_t len, char out[200])
{
    unsigned char bytes[80] = {0};
    BIGNUM *number = NULL;
    assert_true(EVP_PKEY_get_bn_param(key, name, &number));
    if ((size_t)BN_num_bytes(number) > len)
        len = (size_t)BN_bn2bin(number, bytes);
    else
        assert_true(BN_bn2binpad(number, bytes, (int)len) >= 0);
    coded(bytes, len, out);
    BN_free(number);
}

static EVP_PKEY *read_jwk(const char *curve, const char *x, const char *y)
{
    char text[600];
    json_t *jwk = json_loads(format(text, sizeof text, "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}", curve, x, y), 0, NULL);
    EVP_PKEY *key = bw_jwk_read(jwk);
    json_decref(jwk);
    return key;
}

static void test_keys_on_three_curves_are_read(void **state)
{
    (void)state;
    const struct {
        const char *curve;
        EVP_PKEY *key;
        size_t len;
    } rows[] = {{"P-256", p256, 32}, {"P-384", p384, 48}, {"P-521", p521, 66}};
    char x[200], y[200], long_x[200];
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t der[BW_PUBLIC_KEY_DER_MAX];
        coordinate(rows[i].key, OSSL_PKEY_PARAM_EC_PUB_X, rows[i].len, x);
        coordinate(rows[i].key, OSSL_PKEY_PARAM_EC_PUB_Y, rows[i].len, y);
        coordinate(rows[i].key, OSSL_PKEY_PARAM_EC_PUB_X, rows[i].len + 1, long_x);
        EVP_PKEY *key = read_jwk(rows[i].curve, x, y);
        if (!key || EVP_PKEY_eq(key, rows[i].key) != 1) fail_msg("%s is not read", rows[i].curve);
        /* as it comes from the worker that has fetched it */
        EVP_PKEY *again = bw_public_key_decode((struct bw_slice){(char *)der, bw_public_key_encode(key, der)});
        assert_true(again && EVP_PKEY_eq(again, key) == 1);
        EVP_PKEY_free(again);
        EVP_PKEY_free(key);
        assert_null(read_jwk(rows[i].curve, long_x, y));
        assert_null(read_jwk(rows[i].curve, x, ""));
        assert_null(read_jwk(rows[i].curve, y, x)); /* no point of the curve */
        for (size_t other = 0; other < COUNT(rows); other++)
            if (other != i) assert_null(read_jwk(rows[other].curve, x, y));
        assert_null(read_jwk("P-512", x, y));
        assert_null(read_jwk("secp256k1", x, y));
    }
}

static void test_a_key_on_an_odd_curve_is_none(void **state)
{
    (void)state;
    static const char *const curves[] = {"secp256k1", "P-224", "brainpoolP384r1"};
    for (size_t i = 0; i < COUNT(curves); i++) {
        uint8_t der[BW_PUBLIC_KEY_DER_MAX];
        EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[i]);
        assert_null(bw_public_key_decode((struct bw_slice){(char *)der, bw_public_key_encode(key, der)}));
        EVP_PKEY_free(key);
    }
}

/* ---- signing ---- */

static void test_the_first_shared_algorithm_is_signed_with(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"[HS256]", "HS256"}, {"[HS512, HS256]", "HS512"}, {"[HS384, HS512, HS256]", "HS384"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture fixture = {0};
        struct bw_buf lines = {0};
        struct bw_error err;
        char jwt[60], header[60], wanted[100];
        add_secret(&fixture, "secret", BW_SLICE("s3cret"));
        open_scheme(&fixture, SHARED, format(jwt, sizeof jwt, "jwt: {algs: %s}", rows[i][0]));
        assert_true(bw_source_sign(fixture.source, bw_slice_of(body), BW_SLICE(""), BW_SLICE(""), NOW_MS, &lines, &err));
        format(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", rows[i][1]);
        assert_non_null(strstr(lines.data, coded(header, strlen(header), wanted)));
        assert_accepted(&fixture, lines.data, body);
        bw_buf_free(&lines);
        close_source(&fixture);
    }
}

static void test_a_private_key_is_nobodys_here(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf lines = {0};
    struct bw_error err;
    open_scheme(&fixture, PUBLIC, "jwt: {algs: [ES384, RS512]}");
    assert_false(bw_source_sign(fixture.source, bw_slice_of(body), BW_SLICE(""), BW_SLICE(""), NOW_MS, &lines, &err));
    assert_string_equal(err.code, "sign.unsupported");
    bw_buf_free(&lines);
    close_source(&fixture);
}

static void test_the_algorithms_are_told(void **state)
{
    (void)state;
    struct bw_errors errs = {0};
    struct bw_buf text = {0};
    struct bw_schemes *schemes = bw_schemes_load(NULL, &errs);
    bw_scheme_describe(bw_schemes_find(schemes, "fusionauth"), &text);
    assert_non_null(strstr(text.data, "\n  algorithm jwt: HS256, HS384 or HS512\n"));
    bw_buf_free(&text);
    bw_scheme_describe(bw_schemes_find(schemes, "plaid"), &text);
    assert_non_null(strstr(text.data, "\n  algorithm jwt: ES256\n"));
    bw_buf_free(&text);
    bw_schemes_free(schemes);
    bw_errors_free(&errs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shared_key_is_taken_with_the_digest_that_the_token_names),
        cmocka_unit_test(test_a_token_chooses_among_the_shared_algorithms_of_its_scheme_only),
        cmocka_unit_test(test_fusionauth_takes_every_digest),
        cmocka_unit_test(test_a_published_key_is_taken_with_the_algorithm_that_signed),
        cmocka_unit_test(test_a_token_chooses_among_the_public_algorithms_of_its_scheme_only),
        cmocka_unit_test(test_a_key_on_another_curve_signs_nothing),
        cmocka_unit_test(test_an_ecdsa_signature_has_the_length_of_its_curve),
        cmocka_unit_test(test_keys_on_three_curves_are_read),
        cmocka_unit_test(test_a_key_on_an_odd_curve_is_none),
        cmocka_unit_test(test_the_first_shared_algorithm_is_signed_with),
        cmocka_unit_test(test_a_private_key_is_nobodys_here),
        cmocka_unit_test(test_the_algorithms_are_told),
    };
    bw_json_setup();
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
