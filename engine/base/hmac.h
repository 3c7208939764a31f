/* hmac.h: HMAC. What has to be set up for one costs more than the code itself: a context is kept, and keyed again or duplicated. Any thread. */
#ifndef BW_BASE_HMAC_H
#define BW_BASE_HMAC_H
#include "base/buf.h"
#include <openssl/evp.h>
#include <stdint.h>

#define BW_HMAC_BYTES 32
/* With a digest of OpenSSL's ("SHA256") and the key in it; the caller frees it. NULL when OpenSSL cannot allocate, or its provider is broken. */
EVP_MAC_CTX *bw_hmac_context(const char *digest, struct bw_slice key);
/* HMAC-SHA256 of the parts, one behind the other; each thread keeps a context for it. False when OpenSSL cannot allocate, or its provider is broken.
 */
bool bw_hmac_sha256(struct bw_slice key, const struct bw_slice *parts, size_t count, uint8_t out[BW_HMAC_BYTES]);
#endif
