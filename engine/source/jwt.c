/* JSON Web Tokens (RFC 7519) in compact form. The algorithm is one that the scheme allows, and its key is of that algorithm's kind: the token chooses
 * nothing. What is not understood (crit) is refused. The body is covered by a hash among the claims. */
#include "base/codec.h"
#include "base/json_view.h"
#include "source/program.h"
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#define TOKEN_MAX 8192
#define SIGNATURE_MAX 1024
#define DER_MAX 144 /* of two numbers of 66 bytes */

struct token {
    struct bw_slice signed_part, header, claims; /* header and claims: decoded, in scratch */
    uint8_t signature[SIGNATURE_MAX];
    size_t signature_len;
    enum bw_jwt_alg alg;
    struct bw_slice kid;
    struct bw_json_hit hits[BW_JSON_PATHS_MAX];
};

static bool decode_part(struct bw_trial *trial, struct bw_slice text, struct bw_slice *out)
{
    uint8_t bytes[TOKEN_MAX];
    size_t before = trial->scratch->len, len;
    if (!bw_base64url_decode(text, bytes, sizeof bytes, &len) || !bw_trial_has_room(trial, len)) return false;
    bw_buf_append(trial->scratch, bytes, len);
    *out = bw_trial_since(trial, before);
    return true;
}

static bool split(struct bw_trial *trial, struct bw_slice text, struct token *token)
{
    const char *first = text.len && text.len <= TOKEN_MAX ? memchr(text.ptr, '.', text.len) : NULL, *end = text.ptr + text.len;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first) - 1) : NULL;
    if (!second || memchr(second + 1, '.', (size_t)(end - second) - 1)) return false;
    token->signed_part = (struct bw_slice){text.ptr, (size_t)(second - text.ptr)};
    return decode_part(trial, (struct bw_slice){text.ptr, (size_t)(first - text.ptr)}, &token->header) &&
           decode_part(trial, (struct bw_slice){first + 1, (size_t)(second - first) - 1}, &token->claims) &&
           bw_base64url_decode((struct bw_slice){second + 1, (size_t)(end - second) - 1}, token->signature, SIGNATURE_MAX, &token->signature_len) &&
           token->signature_len > 0;
}

/* A text without escapes: nobody needs one in what is compared here. */
static bool text_of(const struct bw_json_hit *hit, struct bw_slice *out)
{
    if (hit->type != BW_JSON_STRING || memchr(hit->raw.ptr, '\\', hit->raw.len)) return false;
    *out = (struct bw_slice){hit->raw.ptr + 1, hit->raw.len - 2};
    return true;
}

static const char *read_header(const struct bw_jwt_spec *spec, struct token *token)
{
    struct bw_json_hit hits[BW_JSON_PATHS_MAX];
    struct bw_slice name;
    token->kid = (struct bw_slice){"", 0};
    if (!bw_json_scan(token->header, spec->header_paths, hits, NULL) || !text_of(&hits[0], &name)) return "unreadable token";
    if (hits[1].type != BW_JSON_NONE && !text_of(&hits[1], &token->kid)) return "unreadable token";
    if (hits[2].type != BW_JSON_NONE) return "the token wants something that is not known here";
    for (enum bw_jwt_alg alg = 0; alg < BW_JWT_ALGS; alg++)
        if (spec->allowed[alg] && bw_slice_is(name, bw_jwt_algorithm(alg)->name)) {
            token->alg = alg;
            return NULL;
        }
    return "an algorithm that the scheme does not allow";
}

/* ---- claims ---- */

static bool read_time(const struct bw_json_hit *hit, int64_t *ms)
{
    double real;
    bool is_integer;
    int64_t seconds;
    if (hit->type != BW_JSON_NUMBER || !bw_json_view_number((struct bw_json_view){hit->raw}, &is_integer, &seconds, &real)) return false;
    if (!is_integer) seconds = real > -1e12 && real < 1e12 ? (int64_t)real : -1;
    if (seconds < 0 || seconds > 1000000000000) return false;
    *ms = seconds * 1000;
    return true;
}

static const char *check_times(const struct bw_trial *trial, const struct token *token)
{
    const struct bw_jwt_spec *spec = &trial->program->jwt;
    const struct bw_json_hit *exp = &token->hits[BW_CLAIM_EXP], *nbf = &token->hits[BW_CLAIM_NBF], *iat = &token->hits[BW_CLAIM_IAT];
    int64_t at, now = trial->request->now_ms;
    if (exp->type == BW_JSON_NONE && spec->needs_exp) return "missing timestamp";
    if (exp->type != BW_JSON_NONE && !read_time(exp, &at)) return "unreadable timestamp";
    if (exp->type != BW_JSON_NONE && at + spec->leeway_ms <= now) return "stale timestamp";
    if (nbf->type != BW_JSON_NONE && !read_time(nbf, &at)) return "unreadable timestamp";
    if (nbf->type != BW_JSON_NONE && at - spec->leeway_ms > now) return "timestamp in the future";
    if (iat->type == BW_JSON_NONE) return spec->max_age_ms ? "missing timestamp" : NULL;
    if (!read_time(iat, &at)) return "unreadable timestamp";
    if (spec->max_age_ms && now - at > spec->max_age_ms) return "stale timestamp";
    return at - now > (spec->max_age_ms ? spec->max_age_ms : spec->leeway_ms) ? "timestamp in the future" : NULL;
}

static bool is_value(struct bw_trial *trial, const struct bw_claim *claim, const struct bw_json_hit *hit)
{
    const struct bw_secret *secret = claim->is_secret ? bw_trial_secret(trial, claim->expected) : NULL;
    struct bw_slice wanted = secret ? secret->values[0] : claim->expected, given;
    if (claim->is_secret && !secret) return false;
    if (hit->type == BW_JSON_ARRAY) { /* aud may be several */
        struct bw_json_iter iter = bw_json_view_iter((struct bw_json_view){hit->raw});
        struct bw_json_view item;
        while (bw_json_iter_next(&iter, NULL, &item)) {
            struct bw_json_hit one = {bw_json_view_type(item), item.raw};
            if (text_of(&one, &given) && bw_slice_equal(given, wanted)) return true;
        }
        return false;
    }
    if (hit->type == BW_JSON_TRUE || hit->type == BW_JSON_FALSE || hit->type == BW_JSON_NUMBER) return bw_slice_equal(hit->raw, wanted);
    return text_of(hit, &given) && bw_slice_equal(given, wanted);
}

static bool body_fits(const struct bw_trial *trial, const struct bw_json_hit *hit)
{
    uint8_t given[64];
    unsigned char hash[EVP_MAX_MD_SIZE];
    size_t given_len, len;
    struct bw_slice text, body = trial->request->body;
    if (!text_of(hit, &text) || !EVP_Q_digest(NULL, "SHA256", NULL, body.ptr, body.len, hash, &len)) return false;
    bool is_read = trial->program->jwt.hash_encoding == BW_ENC_HEX         ? bw_hex_decode(text, false, given, sizeof given, &given_len)
                   : trial->program->jwt.hash_encoding == BW_ENC_BASE64URL ? bw_base64url_decode(text, given, sizeof given, &given_len)
                                                                           : bw_base64_decode(text, given, sizeof given, &given_len);
    return is_read && given_len == len && !CRYPTO_memcmp(given, hash, len);
}

static const char *check_claims(struct bw_trial *trial, struct token *token)
{
    const struct bw_jwt_spec *spec = &trial->program->jwt;
    const char *reason;
    if (!bw_json_scan(token->claims, spec->claim_paths, token->hits, NULL)) return "unreadable token";
    if ((reason = check_times(trial, token))) return reason;
    for (size_t i = 0; i < spec->claim_count; i++)
        if (!is_value(trial, &spec->claims[i], &token->hits[BW_CLAIM_OTHERS + i])) return "a claim of the token is another one";
    return spec->has_hash && !body_fits(trial, &token->hits[BW_CLAIM_HASH]) ? "the token is for another body" : NULL;
}

/* ---- signature ---- */

static const char *check_shared(struct bw_trial *trial, const struct token *token)
{
    for (size_t k = 0; k < trial->keys->count; k++) {
        unsigned char mac[EVP_MAX_MD_SIZE];
        size_t len = 0;
        EVP_MAC_CTX *context = EVP_MAC_CTX_dup(trial->keys->items[k].token_contexts[token->alg]);
        bool good = context && EVP_MAC_update(context, (const unsigned char *)token->signed_part.ptr, token->signed_part.len) &&
                    EVP_MAC_final(context, mac, &len, sizeof mac);
        EVP_MAC_CTX_free(context);
        if (good && len == token->signature_len && !CRYPTO_memcmp(mac, token->signature, len)) return NULL;
    }
    return "bad signature";
}

/* r and s, each in as many bytes → what OpenSSL reads. */
static size_t to_der(const uint8_t *raw, size_t part_bytes, uint8_t *out, size_t capacity)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, (int)part_bytes, NULL), *s = BN_bin2bn(raw + part_bytes, (int)part_bytes, NULL);
    int len = 0;
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s)) {
        unsigned char *at = out;
        r = s = NULL;
        len = i2d_ECDSA_SIG(pair, NULL);
        len = len > 0 && (size_t)len <= capacity ? i2d_ECDSA_SIG(pair, &at) : 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return len > 0 ? (size_t)len : 0;
}

/* Is the key of the algorithm's kind and on its curve (RFC 7518, 3.4)? Numbers of a smaller curve would fit a larger one. */
static bool is_key_for(EVP_PKEY *key, const struct bw_jwt_algorithm *algorithm)
{
    char curve[32];
    size_t len;
    if (EVP_PKEY_get_base_id(key) != algorithm->type) return false;
    return !algorithm->curve || (EVP_PKEY_get_group_name(key, curve, sizeof curve, &len) && !strcmp(curve, algorithm->curve));
}

static const char *check_public(struct bw_trial *trial, const struct token *token)
{
    const struct bw_jwt_algorithm *algorithm = bw_jwt_algorithm(token->alg);
    EVP_PKEY *key;
    uint8_t der[DER_MAX];
    struct bw_slice signature = {(const char *)token->signature, token->signature_len};
    const char *reason = bw_fetched_key(trial, token->kid, &key);
    if (reason) return reason;
    bool good = is_key_for(key, algorithm);
    if (good && algorithm->part_bytes) {
        size_t len = token->signature_len == 2 * algorithm->part_bytes ? to_der(token->signature, algorithm->part_bytes, der, sizeof der) : 0;
        signature = (struct bw_slice){(const char *)der, len};
        good = len > 0;
    }
    good = good && bw_public_key_fits(key, algorithm->digest, signature, token->signed_part);
    EVP_PKEY_free(key);
    return good ? NULL : "bad signature";
}

static struct bw_slice subject_of(struct bw_slice claims)
{
    struct bw_json_view subject;
    bool is_text = bw_json_view_get(bw_json_view_of(claims), BW_SLICE("sub"), &subject) && bw_json_view_type(subject) == BW_JSON_STRING;
    return is_text ? subject.raw : (struct bw_slice){"", 0};
}

const char *bw_jwt_check(struct bw_trial *trial, struct bw_slice text)
{
    struct token token;
    const char *reason;
    if (!split(trial, text, &token)) return "unreadable token";
    if ((reason = read_header(&trial->program->jwt, &token)) || (reason = check_claims(trial, &token))) return reason;
    if ((reason = token.alg < BW_JWT_SHARED ? check_shared(trial, &token) : check_public(trial, &token))) return reason;
    trial->subject = subject_of(token.claims);
    return NULL;
}
