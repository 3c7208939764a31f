/* Keys: secrets of the source, decoded once as the scheme says. */
#include "base/codec.h"
#include "base/hmac.h"
#include "source/program.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES_MAX 4096

static bool is_blank(struct bw_slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!memchr(" \t\r\n", value.ptr[i], 4)) return false;
    return true;
}

static bool decode_key(const struct bw_program *program, struct bw_slice value, uint8_t *out, size_t *len)
{
    enum bw_key_decode decode = program->strip_count ? program->key_bare : program->key_decode;
    for (size_t i = 0; i < program->strip_count; i++) {
        struct bw_slice strip = program->strips[i];
        if (value.len <= strip.len || memcmp(value.ptr, strip.ptr, strip.len) != 0) continue;
        value = (struct bw_slice){value.ptr + strip.len, value.len - strip.len};
        decode = program->key_decode;
        break;
    }
    switch (decode) {
    case BW_KEY_BASE64: return bw_base64_decode(value, out, KEY_BYTES_MAX, len) && *len;
    case BW_KEY_HEX: return bw_hex_decode(value, true, out, KEY_BYTES_MAX, len) && *len;
    case BW_KEY_SHA1: return EVP_Q_digest(NULL, "SHA1", NULL, value.ptr, value.len, out, len);
    case BW_KEY_UTF8: break;
    }
    if (value.len > KEY_BYTES_MAX) return false;
    memcpy(out, value.ptr, value.len);
    *len = value.len;
    return value.len > 0;
}

/* Is the key of the algorithm's kind? ECDSA: on no other curve. */
static EVP_PKEY *of_kind(enum bw_alg alg, EVP_PKEY *key)
{
    char curve[32];
    size_t len;
    bool is_right = key && (alg == BW_ALG_ED25519 ? EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519
                                                  : EVP_PKEY_get_group_name(key, curve, sizeof curve, &len) && !strcmp(curve, "prime256v1"));
    if (is_right) return key;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return NULL;
}

/* Ed25519: the 32 bytes as they are. ECDSA: SubjectPublicKeyInfo (DER). */
static EVP_PKEY *read_public(enum bw_alg alg, struct bw_slice bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr, *end = at + bytes.len;
    if (alg == BW_ALG_ED25519 && bytes.len == 32) return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, at, 32);
    EVP_PKEY *key = of_kind(alg, d2i_PUBKEY(NULL, &at, (long)bytes.len));
    if (at == end) return key;
    EVP_PKEY_free(key);
    return NULL;
}

/* As files of keys are: what a console shows in another form may have been kept in this one. */
static bool is_pem(struct bw_slice value)
{
    static const char begin[] = "-----BEGIN PUBLIC KEY-----";
    return value.len > sizeof begin && !memcmp(value.ptr, begin, sizeof begin - 1);
}

static EVP_PKEY *read_pem(enum bw_alg alg, struct bw_slice value)
{
    BIO *bio = BIO_new_mem_buf(value.ptr, (int)value.len);
    EVP_PKEY *key = bio ? of_kind(alg, PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL)) : NULL;
    BIO_free(bio);
    return key;
}

static bool bad_secret(const struct bw_program *program, const char *name, const struct bw_source_config *config, struct bw_error *err)
{
    static const char *const decodings[] = {"text", "base64", "hex", "text"};
    bw_error_set(err, "source.bad_secret", "the secret '%s' of the source %s cannot be decoded as its scheme says (%s%s)", name, config->name,
                 decodings[program->key_decode], bw_algorithm(program->alg)->family == BW_FAMILY_PUBLIC ? ", or PEM: a public key" : "");
    bw_error_hint(err, "copy it from the provider's console again, as it is shown there");
    return false;
}

/* A token names its digest, so there is a context for each that it may name before it comes. */
static bool make_contexts(struct bw_key *key, const struct bw_program *program)
{
    const struct bw_algorithm *algorithm = bw_algorithm(program->alg);
    bool is_token = algorithm->family == BW_FAMILY_JWT;
    if (!is_token && algorithm->family != BW_FAMILY_HMAC) return true;
    for (size_t i = 0; is_token && i < BW_JWT_SHARED; i++)
        if (program->jwt.allowed[i] && !(key->token_contexts[i] = bw_hmac_context(bw_jwt_algorithm((enum bw_jwt_alg)i)->digest, key->bytes)))
            return false;
    key->context = bw_hmac_context(is_token ? bw_jwt_algorithm(program->jwt.signs_with)->digest : algorithm->digest, key->bytes);
    return key->context != NULL;
}

bool bw_keys_add(struct bw_keys *keys, const struct bw_program *program, const struct bw_source_config *config, size_t secret, struct bw_slice value,
                 struct bw_error *err)
{
    const struct bw_algorithm *algorithm = bw_algorithm(program->alg);
    const char *name = program->key_secrets[secret].ptr;
    uint8_t decoded[KEY_BYTES_MAX];
    struct bw_key *key = &keys->items[keys->count];
    size_t len = 0;
    if (is_blank(value)) return bw_error_set(err, "source.empty_secret", "the secret '%s' of the source %s is empty", name, config->name);
    bool is_from_pem = algorithm->family == BW_FAMILY_PUBLIC && is_pem(value);
    if (!is_from_pem && !decode_key(program, value, decoded, &len)) return bad_secret(program, name, config, err);
    char *copy = bw_slice_dup((struct bw_slice){(char *)decoded, len});
    OPENSSL_cleanse(decoded, sizeof decoded);
    *key = (struct bw_key){.bytes = {copy, copy ? len : 0}, .secret = secret};
    keys->count++;
    if (copy && algorithm->family == BW_FAMILY_PUBLIC) {
        key->public_key = is_from_pem ? read_pem(program->alg, value) : read_public(program->alg, key->bytes);
        if (!key->public_key) return bad_secret(program, name, config, err);
    }
    return (copy && make_contexts(key, program)) || bw_error_set(err, "memory", "no memory for the keys of %s", config->name);
}

bool bw_keys_prepare(struct bw_keys *keys, const struct bw_program *program, const struct bw_source_config *config, struct bw_error *err)
{
    for (size_t k = 0; k < program->key_secret_count; k++) {
        const struct bw_secret *secret = bw_secret_find(config->secrets, config->secret_count, program->key_secrets[k]);
        if (secret && secret->count > BW_KEYS_MAX)
            return bw_error_set(err, "source.too_many_secrets", "the secret '%s' of the source %s has %zu values, at most %d are tried",
                                program->key_secrets[k].ptr, config->name, secret->count, BW_KEYS_MAX);
        for (size_t i = 0; secret && i < secret->count; i++)
            if (!bw_keys_add(keys, program, config, k, secret->values[i], err)) return false;
    }
    if (keys->count || !program->key_secret_count || program->captures_key) return true;
    const char *wanted = program->key_secrets[0].ptr;
    bw_error_set(err, "source.no_secret", "the source %s has no secret '%s', which its scheme %s needs", config->name, wanted, config->verify);
    bw_error_hint(err, "secrets: {%s: {env: NAME}}; see: bellwire schemes show %s", wanted, config->verify);
    return false;
}

void bw_keys_free(struct bw_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        struct bw_key *key = &keys->items[i];
        EVP_MAC_CTX_free(key->context);
        for (size_t alg = 0; alg < BW_JWT_SHARED; alg++) EVP_MAC_CTX_free(key->token_contexts[alg]);
        EVP_PKEY_free(key->public_key);
        if (key->bytes.ptr) OPENSSL_cleanse((void *)key->bytes.ptr, key->bytes.len);
        free((void *)key->bytes.ptr);
    }
    keys->count = 0;
}
