/* Keys, messages, comparison. Both sides are decoded to bytes; equal lengths; constant time. The algorithm is the scheme's, never the message's. */
#include "base/codec.h"
#include "source/program.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES_MAX 4096
#define SIGNATURE_BYTES_MAX 512

static const char *digest_of(enum bw_alg alg)
{
    return alg == BW_ALG_HMAC_SHA1 ? "SHA1" : alg == BW_ALG_HMAC_SHA512 ? "SHA512" : "SHA256";
}
static bool is_hmac(enum bw_alg alg)
{
    return alg == BW_ALG_HMAC_SHA1 || alg == BW_ALG_HMAC_SHA256 || alg == BW_ALG_HMAC_SHA512;
}

/* ---- keys ---- */

static bool is_blank(struct bw_slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!memchr(" \t\r\n", value.ptr[i], 4)) return false;
    return true;
}

static bool decode_key(const struct bw_program *program, struct bw_slice value, uint8_t *out, size_t *len)
{
    if (program->strip.len && value.len > program->strip.len && !memcmp(value.ptr, program->strip.ptr, program->strip.len))
        value = (struct bw_slice){value.ptr + program->strip.len, value.len - program->strip.len};
    switch (program->key_decode) {
    case BW_KEY_BASE64: return bw_base64_decode(value, out, KEY_BYTES_MAX, len) && *len;
    case BW_KEY_HEX: return bw_hex_decode(value, true, out, KEY_BYTES_MAX, len) && *len;
    case BW_KEY_UTF8: break;
    }
    if (value.len > KEY_BYTES_MAX) return false;
    memcpy(out, value.ptr, value.len);
    *len = value.len;
    return value.len > 0;
}

static EVP_MAC_CTX *make_context(enum bw_alg alg, struct bw_slice key)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest_of(alg), 0), OSSL_PARAM_construct_end()};
    EVP_MAC_free(mac); /* the context holds its own reference */
    if (context && EVP_MAC_init(context, (const unsigned char *)key.ptr, key.len, parameters)) return context;
    EVP_MAC_CTX_free(context);
    return NULL;
}

bool bw_keys_prepare(struct bw_keys *keys, const struct bw_program *program, const struct bw_source_config *config, struct bw_error *err)
{
    uint8_t decoded[KEY_BYTES_MAX];
    const struct bw_secret *secret = NULL;
    if (program->alg == BW_ALG_NONE) return true;
    const char *wanted = program->secret.ptr;
    for (size_t i = 0; i < config->secret_count; i++)
        if (!strcmp(config->secrets[i].name, wanted)) secret = &config->secrets[i];
    if (!secret || !secret->count) {
        bw_error_set(err, "source.no_secret", "the source %s has no secret '%s', which its scheme %s needs", config->name, wanted, config->verify);
        bw_error_hint(err, "secrets: {%s: {env: NAME}}; see: bellwire schemes show %s", wanted, config->verify);
        return false;
    }
    if (secret->count > BW_KEYS_MAX)
        return bw_error_set(err, "source.too_many_secrets", "the secret '%s' of the source %s has %zu values, at most %d are tried", wanted,
                            config->name, secret->count, BW_KEYS_MAX);
    for (size_t i = 0; i < secret->count; i++) {
        size_t len = 0;
        if (is_blank(secret->values[i]))
            return bw_error_set(err, "source.empty_secret", "the secret '%s' of the source %s is empty", wanted, config->name);
        if (!decode_key(program, secret->values[i], decoded, &len)) {
            bw_error_set(err, "source.bad_secret", "the secret '%s' of the source %s cannot be decoded as its scheme says (%s)", wanted, config->name,
                         program->key_decode == BW_KEY_BASE64 ? "base64"
                         : program->key_decode == BW_KEY_HEX  ? "hex"
                                                              : "text");
            bw_error_hint(err, "copy it from the provider's console again, as it is shown there");
            return false;
        }
        char *copy = bw_slice_dup((struct bw_slice){(char *)decoded, len});
        keys->bytes[keys->count] = (struct bw_slice){copy, len};
        if (copy && is_hmac(program->alg)) keys->contexts[keys->count] = make_context(program->alg, keys->bytes[keys->count]);
        if (!copy || (is_hmac(program->alg) && !keys->contexts[keys->count]))
            return bw_error_set(err, "memory", "no memory for the keys of %s", config->name);
        keys->count++;
    }
    OPENSSL_cleanse(decoded, sizeof decoded);
    return true;
}

void bw_keys_free(struct bw_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        EVP_MAC_CTX_free(keys->contexts[i]);
        if (keys->bytes[i].ptr) OPENSSL_cleanse((void *)keys->bytes[i].ptr, keys->bytes[i].len);
        free((void *)keys->bytes[i].ptr);
    }
    keys->count = 0;
}

/* ---- message ---- */

static bool feed_hmac(struct bw_trial *trial, EVP_MAC_CTX *context)
{
    const struct bw_program *program = trial->program;
    for (size_t i = 0; i < program->message_count; i++) {
        struct bw_slice part;
        size_t occurrences;
        if (!bw_ref_read(trial, &program->message[i], &part, &occurrences) || occurrences > 1) return false;
        if (part.len && !EVP_MAC_update(context, (const unsigned char *)part.ptr, part.len)) return false;
    }
    return true;
}

static size_t hmac(struct bw_trial *trial, const struct bw_keys *keys, size_t key, unsigned char *mac)
{
    /* The keyed context is only read: any number of threads may copy it. */
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(keys->contexts[key]);
    size_t len = 0;
    if (!context || !feed_hmac(trial, context) || !EVP_MAC_final(context, mac, &len, EVP_MAX_MD_SIZE)) len = 0;
    EVP_MAC_CTX_free(context);
    return len;
}

static size_t plain_hash(struct bw_trial *trial, unsigned char *out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned len = 0;
    bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    for (size_t i = 0; good && i < trial->program->message_count; i++) {
        struct bw_slice part;
        size_t occurrences;
        good =
            bw_ref_read(trial, &trial->program->message[i], &part, &occurrences) && occurrences <= 1 && EVP_DigestUpdate(context, part.ptr, part.len);
    }
    if (!good || !EVP_DigestFinal_ex(context, out, &len)) len = 0;
    EVP_MD_CTX_free(context);
    return len;
}

size_t bw_signature_compute(struct bw_trial *trial, const struct bw_keys *keys, size_t key, unsigned char *mac)
{
    return trial->program->alg == BW_ALG_SHA256 ? plain_hash(trial, mac) : hmac(trial, keys, key, mac);
}

/* ---- comparison ---- */

static bool decode_signature(const struct bw_program *program, struct bw_slice text, uint8_t *out, size_t *len)
{
    struct bw_slice prefix = program->signature_prefix;
    if (prefix.len && (text.len < prefix.len || memcmp(text.ptr, prefix.ptr, prefix.len) != 0)) return false;
    text = (struct bw_slice){text.ptr + prefix.len, text.len - prefix.len};
    switch (program->encoding) {
    case BW_ENC_HEX: return bw_hex_decode(text, program->any_case, out, SIGNATURE_BYTES_MAX, len);
    case BW_ENC_BASE64: return bw_base64_decode(text, out, SIGNATURE_BYTES_MAX, len);
    case BW_ENC_BASE64URL: return bw_base64url_decode(text, out, SIGNATURE_BYTES_MAX, len);
    case BW_ENC_UTF8: break;
    }
    return false;
}

/* Static tokens: compared as hashes, so that neither content nor length of the secret shows in the time. */
static bool token_equal(struct bw_slice given, struct bw_slice key)
{
    unsigned char a[32], b[32];
    return EVP_Q_digest(NULL, "SHA256", NULL, given.ptr, given.len, a, NULL) && EVP_Q_digest(NULL, "SHA256", NULL, key.ptr, key.len, b, NULL) &&
           !CRYPTO_memcmp(a, b, 32) && given.len == key.len;
}

static const char *check_basic(struct bw_trial *trial, const struct bw_keys *keys)
{
    const struct bw_header *header = bw_request_header(trial->request, "authorization", NULL);
    uint8_t decoded[SIGNATURE_BYTES_MAX * 2];
    struct bw_slice user = {0};
    size_t len = 0;
    if (!header) return "missing header";
    struct bw_slice value = header->value;
    if (value.len < 6 || !bw_slice_is_nocase((struct bw_slice){value.ptr, 6}, "basic ")) return "not basic authentication";
    value = (struct bw_slice){value.ptr + 6, value.len - 6};
    while (value.len && *value.ptr == ' ') value.ptr++, value.len--;
    if (!bw_base64_decode(value, decoded, sizeof decoded, &len)) return "unreadable credentials";
    const char *colon = memchr(decoded, ':', len);
    if (!colon) return "unreadable credentials";
    for (size_t i = 0; i < trial->config->secret_count; i++)
        if (!strcmp(trial->config->secrets[i].name, "username")) user = trial->config->secrets[i].values[0];
    size_t user_len = (size_t)(colon - (char *)decoded);
    bool user_good = token_equal((struct bw_slice){(char *)decoded, user_len}, user), password_good = false;
    for (size_t i = 0; i < keys->count; i++) password_good |= token_equal((struct bw_slice){colon + 1, len - user_len - 1}, keys->bytes[i]);
    OPENSSL_cleanse(decoded, sizeof decoded);
    return user_good && password_good ? NULL : "bad credentials";
}

static const char *check_token(struct bw_trial *trial, const struct bw_keys *keys)
{
    struct bw_slice given;
    bool good = false;
    if (!bw_ref_read(trial, &trial->program->signature, &given, NULL)) return "missing token";
    for (size_t i = 0; i < keys->count; i++) good |= token_equal(given, keys->bytes[i]);
    return good ? NULL : "bad token";
}

const char *bw_signature_check(struct bw_trial *trial, const struct bw_keys *keys)
{
    const struct bw_program *program = trial->program;
    struct bw_slice candidates[BW_CANDIDATES_MAX];
    uint8_t given[BW_CANDIDATES_MAX][SIGNATURE_BYTES_MAX];
    size_t lens[BW_CANDIDATES_MAX], count, readable = 0;
    if (program->alg == BW_ALG_NONE) return NULL;
    if (program->alg == BW_ALG_BASIC) return check_basic(trial, keys);
    if (program->alg == BW_ALG_EQUAL) return check_token(trial, keys);
    count = bw_ref_candidates(trial, &program->signature, candidates, BW_CANDIDATES_MAX);
    if (!count) return "missing signature";
    for (size_t i = 0; i < count; i++)
        if (decode_signature(program, candidates[i], given[readable], &lens[readable])) readable++;
    if (!readable) return "unreadable signature";
    for (size_t key = 0; key < (program->alg == BW_ALG_SHA256 ? 1 : keys->count); key++) {
        unsigned char mac[EVP_MAX_MD_SIZE];
        size_t len = bw_signature_compute(trial, keys, key, mac);
        if (!len) return "a signed part is missing or repeated";
        for (size_t i = 0; i < readable; i++)
            if (lens[i] == len && !CRYPTO_memcmp(given[i], mac, len)) return NULL;
    }
    return "bad signature";
}
