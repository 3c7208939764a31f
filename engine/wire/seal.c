#include "wire/seal.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define TEXT_BYTES_MAX 512

bool bw_seal(const uint8_t key[BW_SEAL_KEY_BYTES], const char *label, const uint8_t *bytes, size_t len, uint8_t out[BW_SEAL_BYTES])
{
    uint8_t text[TEXT_BYTES_MAX], whole[EVP_MAX_MD_SIZE];
    size_t label_len = strlen(label) + 1;
    unsigned size = 0;
    if (label_len + len > sizeof text) return false;
    memcpy(text, label, label_len);
    memcpy(text + label_len, bytes, len);
    if (!HMAC(EVP_sha256(), key, BW_SEAL_KEY_BYTES, text, label_len + len, whole, &size) || size < BW_SEAL_BYTES) return false;
    memcpy(out, whole, BW_SEAL_BYTES);
    return true;
}

bool bw_seal_holds(const uint8_t key[BW_SEAL_KEY_BYTES], const char *label, const uint8_t *bytes, size_t len)
{
    uint8_t seal[BW_SEAL_BYTES];
    if (len < sizeof seal) return false;
    len -= sizeof seal;
    return bw_seal(key, label, bytes, len, seal) && CRYPTO_memcmp(seal, bytes + len, sizeof seal) == 0;
}
