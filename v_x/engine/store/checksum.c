#include "store/checksum.h"
#include <endian.h>
#include <string.h>

#define PRIME 0x9e3779b97f4a7c15u /* 2^64 / golden ratio; odd */

static uint64_t mix(uint64_t lane, uint64_t word)
{
    lane = (lane ^ word) * PRIME;
    return lane << 29 | lane >> 35;
}

static uint64_t load(const char *ptr)
{
    uint64_t word;
    memcpy(&word, ptr, sizeof word);
    return le64toh(word);
}

int64_t bw_checksum(struct bw_slice bytes)
{
    uint64_t lanes[4] = {1, 2, 3, 4}, sum = bytes.len;
    const char *ptr = bytes.ptr;
    size_t left = bytes.len;
    for (; left >= 32; left -= 32, ptr += 32)
        for (int i = 0; i < 4; i++) lanes[i] = mix(lanes[i], load(ptr + 8 * i));
    if (left) {
        char tail[32] = {0}; /* the length is part of the sum, so padding cannot be mistaken for data */
        memcpy(tail, ptr, left);
        for (int i = 0; i < 4; i++) lanes[i] = mix(lanes[i], load(tail + 8 * i));
    }
    for (int i = 0; i < 4; i++) sum = mix(sum, lanes[i]);
    return (int64_t)(sum ^ sum >> 32);
}
