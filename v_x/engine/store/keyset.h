/* keyset.h: a hash table whose slots are in key order: linear probing with the key's top bits as its home and every run of slots kept
 * sorted. The keys are uniform already (cut SHA-256), so clusters stay short, a look-up touches one or two cache lines, and walking the
 * slots from first to last walks the keys in ascending order. That is what merging into a B-tree page by page needs, without a sort.
 * One thread. */
#ifndef BW_STORE_KEYSET_H
#define BW_STORE_KEYSET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bw_key { /* 16 bytes read as two big-endian words: ordering as memcmp, and so as SQLite orders blobs */
    uint64_t high, low;
};
struct bw_key_entry {
    struct bw_key key;
    int64_t event_id; /* 0 = free slot */
    int64_t expire_ms;
};
struct bw_keyset { /* zero-initialise to begin */
    struct bw_key_entry *slots;
    size_t room;   /* slots; the last one is always free */
    unsigned bits; /* homes are the top `bits` bits */
    size_t count;
};

struct bw_key bw_key_read(const uint8_t bytes[16]);
void bw_key_write(struct bw_key key, uint8_t bytes[16]);
int bw_key_compare(struct bw_key a, struct bw_key b);

bool bw_keyset_put(struct bw_keyset *set, const struct bw_key_entry *entry); /* replaces an equal key; false without memory, set unchanged */
const struct bw_key_entry *bw_keyset_find(const struct bw_keyset *set, struct bw_key key); /* until the next change; NULL = absent */
void bw_keyset_remove(struct bw_keyset *set, struct bw_key key);
/* Ascending: the first entry at or behind slot *position, which then stands behind it. NULL at the end. The set must not change meanwhile. */
const struct bw_key_entry *bw_keyset_next(const struct bw_keyset *set, size_t *position);
void bw_keyset_free(struct bw_keyset *set); /* empties it; it may be used again */
#endif
