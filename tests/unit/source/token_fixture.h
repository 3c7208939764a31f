/* token_fixture.h: web tokens made by OpenSSL alone, not by the code under test, and judged with a ring of keys. */
#ifndef TOKEN_FIXTURE_H
#define TOKEN_FIXTURE_H
#include "source/key_ring.h"
#include "source_fixture.h"
#include <openssl/ecdsa.h>

#define TOKEN_SIZE 4000

struct signing {
    const char *digest; /* NULL: the key knows */
    int part;           /* of ECDSA: bytes of r and of s; 0: DER, which is not what a token has */
    EVP_PKEY *key;      /* NULL: HMAC with `secret` */
    const char *secret;
};

/* base64url without padding */
__attribute__((unused)) static char *coded(const void *bytes, size_t len, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
    for (char *c = out; *c; c++) *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
    return out;
}

__attribute__((unused)) static size_t sign_as(const struct signing *how, const char *text, unsigned char sig[600])
{
    size_t len = 600;
    if (!how->key) {
        unsigned mac_len;
        const EVP_MD *digest = EVP_get_digestbyname(how->digest);
        assert_non_null(HMAC(digest, how->secret, (int)strlen(how->secret), (const unsigned char *)text, strlen(text), sig, &mac_len));
        return mac_len;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_true(EVP_DigestSignInit_ex(context, NULL, how->digest, NULL, NULL, how->key, NULL));
    assert_true(EVP_DigestSign(context, sig, &len, (const unsigned char *)text, strlen(text)));
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_get_base_id(how->key) == EVP_PKEY_EC && how->part) {
        const unsigned char *der = sig;
        ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, how->part), how->part);
        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + how->part, how->part), how->part);
        ECDSA_SIG_free(pair);
        len = 2 * (size_t)how->part;
    }
    return len;
}

/* What is signed: the header and the claims. */
__attribute__((unused)) static char *signed_part(const char *header, const char *claims, char out[TOKEN_SIZE])
{
    char *at = out + strlen(coded(header, strlen(header), out));
    *at++ = '.';
    coded(claims, strlen(claims), at);
    return out;
}

__attribute__((unused)) static const char *make_token_as(const char *header, const char *claims, const struct signing *how, char out[TOKEN_SIZE])
{
    unsigned char sig[600];
    size_t len = sign_as(how, signed_part(header, claims, out), sig);
    strcat(out, ".");
    coded(sig, len, out + strlen(out));
    return out;
}

__attribute__((unused)) static struct bw_judgement judge_with(const struct fixture *fixture, struct bw_key_ring *ring, const char *lines_text,
                                                              const char *text, int64_t now_ms, struct bw_buf *scratch)
{
    struct lines lines;
    struct bw_judgement out;
    split_lines(&lines, bw_slice_of(lines_text));
    const struct bw_request request = {.method = BW_SLICE("POST"),
                                       .url = BW_SLICE("https://bellwire.example/in/test"),
                                       .query = BW_SLICE(""),
                                       .headers = lines.headers,
                                       .header_count = lines.count,
                                       .body = bw_slice_of(text),
                                       .now_ms = now_ms,
                                       .ring = ring};
    bw_source_judge(fixture->source, &request, scratch, &out);
    return out;
}

/* key NULL: none is there */
__attribute__((unused)) static void put(struct bw_key_ring *ring, struct bw_slice url, const char *id, EVP_PKEY *key, int64_t now_ms)
{
    struct bw_ring_key keys[1] = {{.key = key}};
    strcpy(keys[0].id, id);
    if (key) assert_true(EVP_PKEY_up_ref(key));
    bw_key_ring_put(ring, url, keys, key ? 1 : 0, now_ms, 3600000);
}
#endif
