#include "base/arena.h"
#include <stdalign.h>
#include <stdlib.h>

#define CHUNK_BYTES 8192

struct bw_arena_chunk {
    struct bw_arena_chunk *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

void *bw_arena_alloc(struct bw_arena *arena, size_t size)
{
    struct bw_arena_chunk *chunk = arena->chunks;
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (!chunk || chunk->size - chunk->used < size) {
        size_t bytes = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        if (!(chunk = calloc(1, sizeof *chunk + bytes))) {
            arena->failed = true;
            return NULL;
        }
        chunk->size = bytes;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    void *memory = chunk->bytes + chunk->used;
    chunk->used += size;
    return memory;
}

struct bw_slice bw_arena_copy(struct bw_arena *arena, struct bw_slice bytes)
{
    char *copy = bw_arena_alloc(arena, bytes.len + 1);
    if (!copy) return (struct bw_slice){"", 0};
    if (bytes.len) memcpy(copy, bytes.ptr, bytes.len);
    return (struct bw_slice){copy, bytes.len};
}

void bw_arena_free(struct bw_arena *arena)
{
    while (arena->chunks) {
        struct bw_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
}
