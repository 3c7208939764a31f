/* arena.h: memory that is freed at once. Owned and used by one thread at a time. Allocation failure is sticky: NULL now and `failed` later, so a
 * builder can check once at the end; the returned memory is zeroed. */
#ifndef BW_BASE_ARENA_H
#define BW_BASE_ARENA_H
#include "base/buf.h"

struct bw_arena {
    struct bw_arena_chunk *chunks;
    bool failed;
};
void *bw_arena_alloc(struct bw_arena *arena, size_t size);
struct bw_slice bw_arena_copy(struct bw_arena *arena, struct bw_slice bytes); /* NUL-terminated behind len; empty when memory is out */
void bw_arena_free(struct bw_arena *arena);
#endif
