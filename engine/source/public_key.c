#include "source/public_key.h"
#include "base/codec.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <time.h>

#define CERTIFICATES_MAX 8
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define URL_MAX 512
#define COORDINATE_MAX 66

/* What web tokens know (RFC 7518, 6.2.1.1). */
static const struct curve {
    const char *name, *group; /* group: OpenSSL's name */
    size_t bytes;             /* of a coordinate */
} curves[] = {{"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}, {"P-521", "secp521r1", COORDINATE_MAX}};

static bool is_on_known_curve(EVP_PKEY *key)
{
    char group[32];
    size_t len;
    bool is_named = EVP_PKEY_get_group_name(key, group, sizeof group, &len);
    for (size_t i = 0; is_named && i < sizeof curves / sizeof *curves; i++)
        if (!strcmp(group, curves[i].group)) return true;
    return false;
}

static bool is_strong(EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN && EVP_PKEY_get_bits(key) <= RSA_BITS_MAX;
    case EVP_PKEY_EC: return is_on_known_curve(key);
    case EVP_PKEY_ED25519: return true;
    default: return false;
    }
}

static EVP_PKEY *strong_or_nothing(EVP_PKEY *key)
{
    if (key && is_strong(key)) return key;
    EVP_PKEY_free(key);
    return NULL;
}

/* ---- certificates ---- */

static bool has_name(X509 *certificate, struct bw_slice wanted)
{
    char name[256];
    if (!wanted.len) return true;
    int len = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    if (len <= 0 || (size_t)len != strlen(name)) return false;
    struct bw_slice given = {name, (size_t)len};
    if (wanted.len < 2 || memcmp(wanted.ptr, "*.", 2) != 0) return bw_slice_equal(given, wanted);
    struct bw_slice tail = {wanted.ptr + 1, wanted.len - 1};
    return given.len > tail.len && !memcmp(given.ptr + given.len - tail.len, tail.ptr, tail.len);
}

static bool chains_to_a_root(X509 *leaf, STACK_OF(X509) * others, int64_t at_s)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    bool good = store && context && X509_STORE_set_default_paths(store) && X509_STORE_CTX_init(context, store, leaf, others);
    if (good) {
        X509_STORE_CTX_set_time(context, 0, (time_t)at_s);
        good = X509_verify_cert(context) == 1;
    }
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return good;
}

static bool is_valid_at(X509 *certificate, int64_t at_s, int64_t *until_s)
{
    time_t at = (time_t)at_s;
    struct tm end;
    if (!ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end)) return false;
    *until_s = (int64_t)timegm(&end);
    return !at_s || (X509_cmp_time(X509_get0_notBefore(certificate), &at) < 0 && X509_cmp_time(X509_get0_notAfter(certificate), &at) > 0);
}

static EVP_PKEY *judge(X509 *leaf, STACK_OF(X509) * others, const struct bw_certificate_rules *rules, int64_t *until_s, struct bw_error *err)
{
    EVP_PKEY *key = NULL;
    if (!leaf)
        bw_error_set(err, "key.certificate", "this is no certificate in PEM form");
    else if (!is_valid_at(leaf, rules->at_s, until_s))
        bw_error_set(err, "key.expired", "the certificate is not valid now");
    else if (!has_name(leaf, rules->name))
        bw_error_set(err, "key.name", "the certificate is not for the name %.*s", (int)rules->name.len, rules->name.ptr);
    else if (rules->chain && rules->at_s && !chains_to_a_root(leaf, others, rules->at_s))
        bw_error_set(err, "key.chain", "the certificate does not lead to a root that this system trusts");
    else if (!(key = strong_or_nothing(X509_get_pubkey(leaf))))
        bw_error_set(err, "key.weak", "the certificate's key is too weak or of another kind");
    return key;
}

EVP_PKEY *bw_certificate_read(struct bw_slice pem, const struct bw_certificate_rules *rules, int64_t *until_s, struct bw_error *err)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *leaf = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL, *other;
    STACK_OF(X509) *others = sk_X509_new_null();
    for (int i = 1; leaf && others && i < CERTIFICATES_MAX && (other = PEM_read_bio_X509(bio, NULL, NULL, NULL)); i++)
        if (!sk_X509_push(others, other)) X509_free(other);
    EVP_PKEY *key = judge(leaf, others, rules, until_s, err);
    sk_X509_pop_free(others, X509_free);
    X509_free(leaf);
    BIO_free(bio);
    ERR_clear_error(); /* the end of the PEM text is an error for OpenSSL */
    return key;
}

/* ---- JSON Web Keys ---- */

static BIGNUM *number_of(const json_t *jwk, const char *name)
{
    uint8_t bytes[RSA_BITS_MAX / 8 + 1];
    size_t len;
    struct bw_slice text = bw_json_slice(json_object_get(jwk, name));
    return text.len && bw_base64url_decode(text, bytes, sizeof bytes, &len) ? BN_bin2bn(bytes, (int)len, NULL) : NULL;
}

static EVP_PKEY *from_parameters(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY *key = NULL;
    if (context && parameters && EVP_PKEY_fromdata_init(context) == 1) EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
    OSSL_PARAM_free(parameters);
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *read_rsa(const json_t *jwk, OSSL_PARAM_BLD *builder)
{
    BIGNUM *n = number_of(jwk, "n"), *e = number_of(jwk, "e");
    EVP_PKEY *key = NULL;
    if (n && e && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
        key = from_parameters("RSA", builder);
    BN_free(n);
    BN_free(e);
    return key;
}

static const struct curve *curve_named(const char *name)
{
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        if (!strcmp(name, curves[i].name)) return &curves[i];
    return NULL;
}

static EVP_PKEY *read_ec(const json_t *jwk, OSSL_PARAM_BLD *builder)
{
    uint8_t point[1 + 2 * COORDINATE_MAX] = {4}, part[COORDINATE_MAX + 1];
    static const char *const names[] = {"x", "y"};
    const struct curve *curve = curve_named(bw_json_str(jwk, "crv", ""));
    if (!curve) return NULL;
    for (size_t i = 0; i < 2; i++) {
        size_t len;
        struct bw_slice text = bw_json_slice(json_object_get(jwk, names[i]));
        if (!text.len || !bw_base64url_decode(text, part, sizeof part, &len) || len != curve->bytes) return NULL;
        memcpy(point + 1 + curve->bytes * i, part, curve->bytes);
    }
    return OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) &&
                   OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * curve->bytes)
               ? from_parameters("EC", builder)
               : NULL;
}

static EVP_PKEY *read_okp(const json_t *jwk)
{
    uint8_t bytes[33];
    size_t len;
    struct bw_slice text = bw_json_slice(json_object_get(jwk, "x"));
    if (strcmp(bw_json_str(jwk, "crv", ""), "Ed25519") != 0 || !text.len || !bw_base64url_decode(text, bytes, sizeof bytes, &len) || len != 32)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, 32);
}

/* Whoever gives up a key of Plaid's may still ask for it, and is told since when it counts no more. */
static bool is_given_up(const json_t *jwk)
{
    const json_t *at = json_object_get(jwk, "expired_at");
    return at && !json_is_null(at);
}

EVP_PKEY *bw_jwk_read(const json_t *jwk)
{
    if (is_given_up(jwk)) return NULL;
    const char *type = bw_json_str(jwk, "kty", "");
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (builder && !strcmp(type, "RSA"))
        key = read_rsa(jwk, builder);
    else if (builder && !strcmp(type, "EC"))
        key = read_ec(jwk, builder);
    else if (!strcmp(type, "OKP"))
        key = read_okp(jwk);
    OSSL_PARAM_BLD_free(builder);
    ERR_clear_error();
    return strong_or_nothing(key);
}

static bool add_jwk(const json_t *jwk, const char *id, struct bw_ring_key *out)
{
    if (strlen(id) > BW_RING_ID_MAX || !(out->key = bw_jwk_read(jwk))) return false;
    strcpy(out->id, id);
    return true;
}

size_t bw_key_set_read(struct bw_slice text, struct bw_slice at, struct bw_ring_key *out, size_t capacity)
{
    struct bw_error err;
    json_t *root = bw_json_load(text, &err), *list = json_object_get(root, "keys"), *jwk;
    size_t count = 0, index;
    if (at.len > 1 && capacity && (jwk = json_object_getn(root, at.ptr + 1, at.len - 1)))
        count += add_jwk(jwk, bw_json_str(jwk, "kid", ""), &out[0]);
    else if (!at.len)
        json_array_foreach(list, index, jwk) if (count < capacity) count += add_jwk(jwk, bw_json_str(jwk, "kid", ""), &out[count]);
    json_decref(root);
    return count;
}

/* ---- on the way ---- */

size_t bw_public_key_encode(EVP_PKEY *key, uint8_t out[BW_PUBLIC_KEY_DER_MAX])
{
    unsigned char *at = out;
    int len = i2d_PUBKEY(key, NULL);
    return len > 0 && len <= BW_PUBLIC_KEY_DER_MAX && i2d_PUBKEY(key, &at) == len ? (size_t)len : 0;
}

EVP_PKEY *bw_public_key_decode(struct bw_slice der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    EVP_PKEY *key = der.len && der.len <= BW_PUBLIC_KEY_DER_MAX ? d2i_PUBKEY(NULL, &at, (long)der.len) : NULL;
    if (!key) ERR_clear_error();
    return strong_or_nothing(key);
}

/* ---- URLs ---- */

static bool is_label_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool bw_host_matches(struct bw_slice host, struct bw_slice pattern)
{
    size_t at = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] != '*') {
            if (at == host.len || host.ptr[at++] != pattern.ptr[i]) return false;
            continue;
        }
        size_t start = at;
        while (at < host.len && is_label_letter(host.ptr[at])) at++;
        if (at - start < 3) return false;
    }
    return at == host.len;
}

bool bw_url_is_plain(struct bw_slice url, struct bw_slice *host, struct bw_slice *path)
{
    static const char scheme[] = "https://";
    size_t start = sizeof scheme - 1, at = start;
    if (url.len > URL_MAX || url.len <= start || memcmp(url.ptr, scheme, start) != 0) return false;
    while (at < url.len && (is_label_letter(url.ptr[at]) || url.ptr[at] == '.')) at++;
    *host = (struct bw_slice){url.ptr + start, at - start};
    *path = (struct bw_slice){url.ptr + at, url.len - at};
    if (!host->len || !path->len || *path->ptr != '/') return false;
    for (size_t i = 0; i < path->len; i++)
        if ((unsigned char)path->ptr[i] <= 0x20 || (unsigned char)path->ptr[i] >= 0x7f || memchr("?#\\\"<>", path->ptr[i], 6)) return false;
    return true;
}
