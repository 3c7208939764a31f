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

/* The longest length ≤ limit at which `bytes` can be cut without splitting a character. limit must lie inside the bytes. */
static inline size_t bw_utf8_cut(const char *bytes, size_t limit)
{
    size_t cut = limit;
    while (cut > 0 && limit - cut < 3 && ((unsigned char)bytes[cut] & 0xc0) == 0x80) cut--;
    return ((unsigned char)bytes[cut] & 0xc0) == 0x80 ? limit : cut; /* no lead byte near: it was no UTF-8 anyway */
}
#endif
