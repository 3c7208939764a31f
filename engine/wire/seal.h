/* seal.h: what makes a link one of ours: the first 16 bytes of HMAC-SHA256(key, label NUL bytes). The label keeps the uses of a store's key apart.
 * Pure; any thread. */
#ifndef BW_WIRE_SEAL_H
#define BW_WIRE_SEAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BW_SEAL_KEY_BYTES 32
#define BW_SEAL_BYTES 16

bool bw_seal(const uint8_t key[BW_SEAL_KEY_BYTES], const char *label, const uint8_t *bytes, size_t len, uint8_t out[BW_SEAL_BYTES]);
/* In constant time: do the last BW_SEAL_BYTES of `bytes` seal what is in front of them? */
bool bw_seal_holds(const uint8_t key[BW_SEAL_KEY_BYTES], const char *label, const uint8_t *bytes, size_t len);
#endif
