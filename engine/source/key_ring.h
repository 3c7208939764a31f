/* key_ring.h: the keys that were fetched, by URL: a bounded cache that all threads share. Nothing is fetched here: who finds a key missing is told
 * so, and told whether somebody fetches it already.
 *
 * What was fetched is good for the time that its fetcher says, at most a day. A failure is remembered for half a minute: until then nobody tries
 * again. A key id that the set does not have makes it fetched again, but not within a minute. When the ring is full, the oldest entry goes. */
#ifndef BW_SOURCE_KEY_RING_H
#define BW_SOURCE_KEY_RING_H
#include "base/buf.h"
#include "base/json.h"
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#define BW_RING_KEYS_MAX 32 /* of one URL */
#define BW_RING_ID_MAX 128  /* of a key */

enum bw_ring_state {
    BW_RING_FOUND,
    BW_RING_ABSENT, /* fetched lately, and there is no such key */
    BW_RING_WANTED, /* is to be fetched: the caller is the one who has to ask */
    BW_RING_COMING, /* somebody has asked */
    BW_RING_FAILED, /* lately */
};
struct bw_ring_key {
    char id[BW_RING_ID_MAX + 1]; /* empty: the only key */
    EVP_PKEY *key;
};
struct bw_key_ring;
struct bw_key_ring *bw_key_ring_new(void);
void bw_key_ring_free(struct bw_key_ring *ring);
/* FOUND: *key is the caller's to free. id empty: the first key. */
enum bw_ring_state bw_key_ring_find(struct bw_key_ring *ring, struct bw_slice url, struct bw_slice id, int64_t now_ms, EVP_PKEY **key);
/* Takes the keys over. count 0: the fetch failed. */
void bw_key_ring_put(struct bw_key_ring *ring, struct bw_slice url, struct bw_ring_key *keys, size_t count, int64_t now_ms, int64_t good_for_ms);
/* Answers a wish from what a captured request brings with it instead of a fetch: certificates by URL (PEM), JSON Web Keys by id. A certificate that
 * has ended is none; when it begins, and its chain, is not looked at: such files are made after the time that they tell of. */
struct bw_key_wish;
void bw_key_ring_give(struct bw_key_ring *ring, const struct bw_key_wish *wish, const json_t *certificates, const json_t *key_set, int64_t now_ms);
#endif
