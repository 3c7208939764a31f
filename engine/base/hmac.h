/* hmac.h: HMAC-SHA256 of short texts. What has to be set up for one costs more than the code itself: each thread keeps a context. Any thread. */
#ifndef BW_BASE_HMAC_H
#define BW_BASE_HMAC_H
#include "base/buf.h"
#include <stdint.h>

#define BW_HMAC_BYTES 32
/* Of the parts, one behind the other. False when OpenSSL cannot allocate, or its provider is broken. */
bool bw_hmac_sha256(struct bw_slice key, const struct bw_slice *parts, size_t count, uint8_t out[BW_HMAC_BYTES]);
#endif
