#include "source/key_ring.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 64
#define GOOD_MS_MAX (24LL * 3600 * 1000)
#define FAILED_MS 30000
#define COMING_MS 30000 /* whoever was asked has died */
#define AGAIN_MS 60000  /* for an id that the set did not have */

struct entry {
    char *url; /* NULL: free */
    struct bw_ring_key keys[BW_RING_KEYS_MAX];
    size_t count;
    int64_t fetched_ms, good_until_ms, coming_until_ms, failed_until_ms;
};
struct bw_key_ring {
    pthread_mutex_t lock;
    struct entry entries[ENTRIES_MAX];
};

struct bw_key_ring *bw_key_ring_new(void)
{
    struct bw_key_ring *ring = calloc(1, sizeof *ring);
    if (ring) pthread_mutex_init(&ring->lock, NULL);
    return ring;
}

static void empty(struct entry *entry)
{
    for (size_t i = 0; i < entry->count; i++) EVP_PKEY_free(entry->keys[i].key);
    free(entry->url);
    *entry = (struct entry){0};
}

void bw_key_ring_free(struct bw_key_ring *ring)
{
    if (!ring) return;
    for (size_t i = 0; i < ENTRIES_MAX; i++) empty(&ring->entries[i]);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

static int64_t age_of(const struct entry *entry)
{
    int64_t latest = entry->fetched_ms;
    if (entry->coming_until_ms - COMING_MS > latest) latest = entry->coming_until_ms - COMING_MS;
    return latest;
}

/* The entry of the URL; a fresh one in place of the oldest if there is none. Those without a key go first: they cost their maker nothing. */
static struct entry *entry_of(struct bw_key_ring *ring, struct bw_slice url)
{
    struct entry *oldest = &ring->entries[0];
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        struct entry *entry = &ring->entries[i];
        if (entry->url && bw_slice_is(url, entry->url)) return entry;
        if (!oldest->url) continue;
        bool is_poorer = !entry->count && oldest->count, is_richer = entry->count && !oldest->count;
        if (!entry->url || is_poorer || (!is_richer && age_of(entry) < age_of(oldest))) oldest = entry;
    }
    empty(oldest);
    oldest->url = bw_slice_dup(url);
    return oldest->url ? oldest : NULL;
}

static EVP_PKEY *key_of(const struct entry *entry, struct bw_slice id)
{
    for (size_t i = 0; i < entry->count; i++)
        if ((!id.len || bw_slice_is(id, entry->keys[i].id)) && EVP_PKEY_up_ref(entry->keys[i].key)) return entry->keys[i].key;
    return NULL;
}

static enum bw_ring_state look(struct entry *entry, struct bw_slice id, int64_t now_ms, EVP_PKEY **key)
{
    bool is_good = entry->count && now_ms < entry->good_until_ms;
    if (is_good && (*key = key_of(entry, id))) return BW_RING_FOUND;
    if (now_ms < entry->coming_until_ms) return BW_RING_COMING;
    if (now_ms < entry->failed_until_ms) return BW_RING_FAILED;
    if (is_good && now_ms < entry->fetched_ms + AGAIN_MS) return BW_RING_ABSENT;
    entry->coming_until_ms = now_ms + COMING_MS;
    return BW_RING_WANTED;
}

enum bw_ring_state bw_key_ring_find(struct bw_key_ring *ring, struct bw_slice url, struct bw_slice id, int64_t now_ms, EVP_PKEY **key)
{
    *key = NULL;
    if (!ring) return BW_RING_FAILED;
    pthread_mutex_lock(&ring->lock);
    struct entry *entry = entry_of(ring, url);
    enum bw_ring_state state = entry ? look(entry, id, now_ms, key) : BW_RING_FAILED;
    pthread_mutex_unlock(&ring->lock);
    return state;
}

void bw_key_ring_put(struct bw_key_ring *ring, struct bw_slice url, struct bw_ring_key *keys, size_t count, int64_t now_ms, int64_t good_for_ms)
{
    pthread_mutex_lock(&ring->lock);
    struct entry *entry = entry_of(ring, url);
    if (entry) entry->coming_until_ms = 0;
    if (entry && !count) entry->failed_until_ms = now_ms + FAILED_MS; /* what was there stays good for its time */
    if (entry && count) {
        for (size_t i = 0; i < entry->count; i++) EVP_PKEY_free(entry->keys[i].key);
        for (entry->count = 0; entry->count < count && entry->count < BW_RING_KEYS_MAX; entry->count++) {
            entry->keys[entry->count] = keys[entry->count];
            keys[entry->count].key = NULL;
        }
        entry->fetched_ms = now_ms;
        entry->failed_until_ms = 0;
        entry->good_until_ms = now_ms + (good_for_ms < GOOD_MS_MAX ? good_for_ms : GOOD_MS_MAX);
    }
    pthread_mutex_unlock(&ring->lock);
    for (size_t i = 0; i < count; i++) EVP_PKEY_free(keys[i].key); /* those that nobody took */
}
