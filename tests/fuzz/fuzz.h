/* fuzz.h: what the fuzz targets share. A target is one file fuzz_NAME.c: its head says which property holds for every input, and
 * LLVMFuzzerTestOneInput() checks it. One thread; nothing is kept from one input to the next that could change a verdict, so that a file that
 * libFuzzer has kept shows the same again. */
#ifndef BW_FUZZ_H
#define BW_FUZZ_H
#include "base/buf.h"
#include "base/random.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv); /* only of targets that prepare something */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that does not hold: what was seen is printed, and libFuzzer keeps the input. */
#define fuzz_check(holds, ...)                                                         \
    do {                                                                               \
        if (!(holds)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s: ", __FILE__, __LINE__, #holds); \
            fprintf(stderr, __VA_ARGS__);                                              \
            fputc('\n', stderr);                                                       \
            abort();                                                                   \
        }                                                                              \
    } while (0)

/* Random numbers are the same in each process. So are hashes then, the order of what they hold, a fuzzer's way and what it finds with one seed. */
static inline void fuzz_same_bytes(void *arg, void *out, size_t len)
{
    (void)arg;
    memset(out, 0x5a, len);
}
__attribute__((constructor)) static inline void fuzz_choose_the_same(void)
{
    bw_random_override(fuzz_same_bytes, NULL);
}

/* Choices that the input makes: its first bytes are their seed, so that a mutation there chooses differently and nothing else changes. */
#define FUZZ_SEED_BYTES 4
struct fuzz_dice {
    uint32_t state;
};
static inline struct fuzz_dice fuzz_take_dice(struct bw_slice *input)
{
    struct fuzz_dice dice = {0x9e3779b9};
    size_t len = input->len < FUZZ_SEED_BYTES ? input->len : FUZZ_SEED_BYTES;
    for (size_t i = 0; i < len; i++) dice.state = (dice.state ^ (unsigned char)input->ptr[i]) * 0x01000193; /* FNV-1a */
    *input = (struct bw_slice){input->ptr + len, input->len - len};
    dice.state |= !dice.state;
    return dice;
}
static inline uint32_t fuzz_roll(struct fuzz_dice *dice, uint32_t below) /* below > 0 */
{
    dice->state ^= dice->state << 13, dice->state ^= dice->state >> 17, dice->state ^= dice->state << 5; /* xorshift32 (Marsaglia 2003) */
    return dice->state % below;
}

/* A copy of exactly these bytes, so that the address sanitizer sees a read beside them. The caller frees ptr. */
static inline struct bw_slice fuzz_copy(struct bw_slice bytes)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    if (!copy) abort();
    if (bytes.len) memcpy(copy, bytes.ptr, bytes.len);
    return (struct bw_slice){copy, bytes.len};
}
static inline struct bw_slice fuzz_input(const uint8_t *data, size_t size)
{
    return (struct bw_slice){size ? (const char *)data : "", size};
}
#endif
