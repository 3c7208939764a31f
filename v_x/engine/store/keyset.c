#include "store/keyset.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BITS 10

struct bw_key bw_key_read(const uint8_t bytes[16])
{
    struct bw_key key;
    memcpy(&key, bytes, sizeof key);
    return (struct bw_key){be64toh(key.high), be64toh(key.low)};
}

void bw_key_write(struct bw_key key, uint8_t bytes[16])
{
    struct bw_key wire = {htobe64(key.high), htobe64(key.low)};
    memcpy(bytes, &wire, sizeof wire);
}

int bw_key_compare(struct bw_key a, struct bw_key b)
{
    if (a.high != b.high) return a.high < b.high ? -1 : 1;
    return a.low < b.low ? -1 : a.low > b.low;
}

static size_t home_of(const struct bw_keyset *set, struct bw_key key)
{
    return (size_t)(key.high >> (64 - set->bits));
}

static bool is_free(const struct bw_keyset *set, size_t slot)
{
    return set->slots[slot].event_id == 0;
}

/* The slot of the key, or the one where it belongs. All smaller keys are in front of it: those of earlier homes sit before the key's
 * home or run into it, and a run is sorted. */
static size_t seek(const struct bw_keyset *set, struct bw_key key)
{
    size_t slot = home_of(set, key);
    while (!is_free(set, slot) && bw_key_compare(set->slots[slot].key, key) < 0) slot++;
    return slot;
}

/* Twice the homes. Half as many slots as homes follow the last home: no cluster can be longer, whatever the keys are, so nothing ever
 * runs over the end. That tail is memory that is never touched and so costs nothing. */
static bool grow(struct bw_keyset *set)
{
    struct bw_keyset bigger = {.bits = set->slots ? set->bits + 1 : FIRST_BITS, .count = set->count};
    size_t homes = (size_t)1 << bigger.bits, next = 0;
    bigger.room = homes + homes / 2 + 1;
    bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
    if (!bigger.slots) return false;
    const struct bw_key_entry *entry;
    for (size_t i = 0; (entry = bw_keyset_next(set, &i)) != NULL;) {
        size_t slot = home_of(&bigger, entry->key);
        if (slot < next) slot = next;
        bigger.slots[slot] = *entry;
        next = slot + 1;
    }
    free(set->slots);
    *set = bigger;
    return true;
}

bool bw_keyset_put(struct bw_keyset *set, const struct bw_key_entry *entry)
{
    if ((!set->slots || set->count == (size_t)1 << (set->bits - 1)) && !grow(set)) return false;
    size_t slot = seek(set, entry->key), end = slot;
    if (is_free(set, slot) || bw_key_compare(set->slots[slot].key, entry->key) != 0) {
        while (!is_free(set, end)) end++;
        memmove(set->slots + slot + 1, set->slots + slot, (end - slot) * sizeof *set->slots);
        set->count++;
    }
    set->slots[slot] = *entry;
    return true;
}

const struct bw_key_entry *bw_keyset_find(const struct bw_keyset *set, struct bw_key key)
{
    if (!set->slots) return NULL;
    const struct bw_key_entry *entry = &set->slots[seek(set, key)];
    return entry->event_id != 0 && bw_key_compare(entry->key, key) == 0 ? entry : NULL;
}

void bw_keyset_remove(struct bw_keyset *set, struct bw_key key)
{
    const struct bw_key_entry *entry = bw_keyset_find(set, key);
    if (!entry) return;
    size_t slot = (size_t)(entry - set->slots), end = slot + 1;
    while (!is_free(set, end) && home_of(set, set->slots[end].key) < end) end++; /* these stand behind their home: one back */
    memmove(set->slots + slot, set->slots + slot + 1, (end - slot - 1) * sizeof *set->slots);
    set->slots[end - 1].event_id = 0;
    set->count--;
}

const struct bw_key_entry *bw_keyset_next(const struct bw_keyset *set, size_t *position)
{
    while (*position < set->room) {
        const struct bw_key_entry *entry = &set->slots[(*position)++];
        if (entry->event_id != 0) return entry;
    }
    return NULL;
}

void bw_keyset_free(struct bw_keyset *set)
{
    free(set->slots);
    *set = (struct bw_keyset){0};
}
