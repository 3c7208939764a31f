/* utf8.h: well-formed UTF-8 as RFC 3629 says: no overlong forms, no surrogates, nothing above U+10FFFF. Pure, any thread. */
#ifndef BW_BASE_UTF8_H
#define BW_BASE_UTF8_H
#include <stdbool.h>
#include <stddef.h>

/* Bytes of the well-formed character at `bytes` (1 to 4), 0 if there is none within `left` bytes. */
static inline size_t bw_utf8_length(const char *bytes, size_t left)
{
    const unsigned char *at = (const unsigned char *)bytes;
    if (left == 0) return 0;
    if (at[0] < 0x80) return 1;
    if (at[0] < 0xc2) return 0;
    size_t need = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (at[0] > 0xf4 || left < need || (at[1] & 0xc0) != 0x80) return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    return need;
}

/* Writes a code point (no surrogate) as UTF-8, at most 4 bytes; returns how many. */
static inline size_t bw_utf8_encode(unsigned point, char *out)
{
    unsigned char *at = (unsigned char *)out;
    if (point < 0x80) return at[0] = (unsigned char)point, 1;
    if (point < 0x800) return at[0] = (unsigned char)(0xc0 | point >> 6), at[1] = (unsigned char)(0x80 | (point & 0x3f)), 2;
    if (point < 0x10000)
        return at[0] = (unsigned char)(0xe0 | point >> 12), at[1] = (unsigned char)(0x80 | (point >> 6 & 0x3f)),
               at[2] = (unsigned char)(0x80 | (point & 0x3f)), 3;
    at[0] = (unsigned char)(0xf0 | point >> 18), at[1] = (unsigned char)(0x80 | (point >> 12 & 0x3f));
    at[2] = (unsigned char)(0x80 | (point >> 6 & 0x3f)), at[3] = (unsigned char)(0x80 | (point & 0x3f));
    return 4;
}

/* The longest length ≤ limit at which `bytes` can be cut without splitting a character. limit must lie inside the bytes. */
static inline size_t bw_utf8_cut(const char *bytes, size_t limit)
{
    size_t cut = limit;
    while (cut > 0 && limit - cut < 3 && ((unsigned char)bytes[cut] & 0xc0) == 0x80) cut--;
    return ((unsigned char)bytes[cut] & 0xc0) == 0x80 ? limit : cut; /* no lead byte near: it was no UTF-8 anyway */
}
#endif
