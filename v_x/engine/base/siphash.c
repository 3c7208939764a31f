#include "base/siphash.h"

static uint64_t load64(const uint8_t *at, size_t len)
{
    uint64_t value = 0; /* little-endian on every machine */
    for (size_t i = 0; i < len; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static uint64_t rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static void mix(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

uint64_t bw_siphash13(const uint8_t key[16], const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint64_t k0 = load64(key, 8), k1 = load64(key + 8, 8);
    /* "somepseudorandomlygeneratedbytes", the paper's constants */
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
    size_t left = len;
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word = load64(at, 8);
        v[3] ^= word;
        mix(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)len << 56 | load64(at, left);
    v[3] ^= last;
    mix(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
