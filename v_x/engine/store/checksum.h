/* checksum.h: a 64-bit checksum against bit rot and torn pages, not against people: SQLite keeps no checksum of a page in the database
 * file, so each body carries one and it is compared before the body is given to a run. Four lanes of xor, odd multiply and rotate: every
 * step is a bijection, so any change within one 8-byte word is always found and others are missed with probability 2^-64; it runs near
 * memory speed where SHA-256 would cost several microseconds per webhook. The value is part of the file format (little endian words). */
#ifndef BW_STORE_CHECKSUM_H
#define BW_STORE_CHECKSUM_H
#include "base/buf.h"
#include <stdint.h>

int64_t bw_checksum(struct bw_slice bytes);
#endif
