/* Entries stand in an array in insertion order; an open-addressing table of their numbers finds them. A removed entry stays
 * as a hole (key NULL) until the table is built anew, so positions of a running iteration keep their meaning. */
#include "base/map.h"
#include "base/random.h"
#include "base/siphash.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct entry {
    char *key; /* NULL: a hole */
    size_t len;
    uint64_t hash;
    void *value;
};
struct bw_map {
    struct entry *entries;
    uint32_t *slots;    /* entry number + 1; 0 = free */
    size_t slot_count;  /* a power of two, or 0 */
    size_t used, count; /* entries with and without holes */
};

static uint8_t hash_key[16];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void)
{
    bw_random_bytes(hash_key, sizeof hash_key);
}

static uint64_t hash_of(struct bw_slice key)
{
    return bw_siphash13(hash_key, key.ptr, key.len);
}

struct bw_map *bw_map_new(void)
{
    pthread_once(&hash_key_once, make_hash_key);
    return calloc(1, sizeof(struct bw_map));
}

void bw_map_free(struct bw_map *map, void (*free_value)(void *))
{
    if (!map) return;
    for (size_t i = 0; i < map->used; i++) {
        if (map->entries[i].key && free_value) free_value(map->entries[i].value);
        free(map->entries[i].key);
    }
    free(map->entries);
    free(map->slots);
    free(map);
}

static struct entry *find(const struct bw_map *map, struct bw_slice key, uint64_t hash)
{
    if (map->slot_count == 0) return NULL;
    for (size_t slot = hash & (map->slot_count - 1); map->slots[slot]; slot = (slot + 1) & (map->slot_count - 1)) {
        struct entry *entry = &map->entries[map->slots[slot] - 1];
        if (entry->key && entry->hash == hash && bw_slice_equal(key, (struct bw_slice){entry->key, entry->len})) return entry;
    }
    return NULL;
}

static void place(struct bw_map *map, size_t number)
{
    size_t slot = map->entries[number].hash & (map->slot_count - 1);
    while (map->slots[slot]) slot = (slot + 1) & (map->slot_count - 1);
    map->slots[slot] = (uint32_t)number + 1;
}

/* At most three quarters of the slots are taken, holes included, so that every search meets a free one. */
static size_t room_of(size_t slot_count)
{
    return slot_count / 4 * 3;
}

static bool make_room(struct bw_map *map)
{
    if (map->used < room_of(map->slot_count)) return true;
    size_t slot_count = map->slot_count ? map->slot_count : 8;
    while (room_of(slot_count) < map->count + map->count / 2 + 1) slot_count *= 2;
    if (room_of(slot_count) >= UINT32_MAX) return false;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    struct entry *entries = malloc(room_of(slot_count) * sizeof *entries);
    if (!slots || !entries) {
        free(slots);
        free(entries);
        return false;
    }
    size_t used = 0;
    for (size_t i = 0; i < map->used; i++)
        if (map->entries[i].key) entries[used++] = map->entries[i];
    free(map->entries);
    free(map->slots);
    map->entries = entries;
    map->slots = slots;
    map->slot_count = slot_count;
    map->used = used;
    for (size_t i = 0; i < used; i++) place(map, i);
    return true;
}

bool bw_map_set(struct bw_map *map, struct bw_slice key, void *value)
{
    uint64_t hash = hash_of(key);
    struct entry *entry = find(map, key, hash);
    if (entry) {
        entry->value = value;
        return true;
    }
    char *copy = bw_slice_dup(key);
    if (!copy || !make_room(map)) {
        free(copy);
        return false;
    }
    map->entries[map->used] = (struct entry){.key = copy, .len = key.len, .hash = hash, .value = value};
    place(map, map->used++);
    map->count++;
    return true;
}

void *bw_map_get(const struct bw_map *map, struct bw_slice key)
{
    const struct entry *entry = find(map, key, hash_of(key));
    return entry ? entry->value : NULL;
}

void *bw_map_remove(struct bw_map *map, struct bw_slice key)
{
    struct entry *entry = find(map, key, hash_of(key));
    if (!entry) return NULL;
    void *value = entry->value;
    free(entry->key);
    *entry = (struct entry){0};
    map->count--;
    return value;
}

size_t bw_map_count(const struct bw_map *map)
{
    return map->count;
}

bool bw_map_next(const struct bw_map *map, size_t *position, struct bw_slice *key, void **value)
{
    while (*position < map->used && !map->entries[*position].key) (*position)++;
    if (*position >= map->used) return false;
    const struct entry *entry = &map->entries[(*position)++];
    if (key) *key = (struct bw_slice){entry->key, entry->len};
    if (value) *value = entry->value;
    return true;
}
