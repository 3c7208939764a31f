#include "base/hmac.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>

EVP_MAC_CTX *bw_hmac_context(const char *digest, struct bw_slice key)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0), OSSL_PARAM_construct_end()};
    EVP_MAC_free(mac); /* the context holds its own reference */
    if (context && EVP_MAC_init(context, (const unsigned char *)key.ptr, key.len, parameters)) return context;
    EVP_MAC_CTX_free(context);
    return NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t kept;
static bool can_keep;

static void free_context(void *context)
{
    EVP_MAC_CTX_free(context);
}

static void make_key(void)
{
    can_keep = !pthread_key_create(&kept, free_context);
}

/* This thread's, whatever key it has; NULL: there can be none. */
static EVP_MAC_CTX *kept_context(struct bw_slice key)
{
    pthread_once(&once, make_key);
    EVP_MAC_CTX *context = can_keep ? pthread_getspecific(kept) : NULL;
    if (!can_keep || context) return context;
    context = bw_hmac_context("SHA256", key);
    if (context && !pthread_setspecific(kept, context)) return context;
    EVP_MAC_CTX_free(context);
    return NULL;
}

bool bw_hmac_sha256(struct bw_slice key, const struct bw_slice *parts, size_t count, uint8_t out[BW_HMAC_BYTES])
{
    size_t len = 0;
    EVP_MAC_CTX *context = kept_context(key);
    if (!context || !EVP_MAC_init(context, (const uint8_t *)key.ptr, key.len, NULL)) return false;
    for (size_t i = 0; i < count; i++)
        if (!EVP_MAC_update(context, (const uint8_t *)parts[i].ptr, parts[i].len)) return false;
    return EVP_MAC_final(context, out, &len, BW_HMAC_BYTES) && len == BW_HMAC_BYTES;
}
