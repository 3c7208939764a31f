/* siphash.h: SipHash-1-3 (Aumasson and Bernstein, 2012; the variant with one compression and three finalisation rounds, as in
 * Rust's and Python's tables): a keyed hash for tables whose keys an attacker may choose. Not a MAC. Pure, any thread. */
#ifndef BW_BASE_SIPHASH_H
#define BW_BASE_SIPHASH_H
#include <stddef.h>
#include <stdint.h>

uint64_t bw_siphash13(const uint8_t key[16], const void *bytes, size_t len);
#endif
