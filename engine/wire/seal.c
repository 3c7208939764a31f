#include "wire/seal.h"
#include "base/hmac.h"
#include <openssl/crypto.h>
#include <string.h>

bool bw_seal(const uint8_t key[BW_SEAL_KEY_BYTES], const char *label, const uint8_t *bytes, size_t len, uint8_t out[BW_SEAL_BYTES])
{
    uint8_t whole[BW_HMAC_BYTES];
    const struct bw_slice parts[] = {{label, strlen(label) + 1}, {(const char *)bytes, len}};
    if (!bw_hmac_sha256((struct bw_slice){(const char *)key, BW_SEAL_KEY_BYTES}, parts, 2, whole)) return false;
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
