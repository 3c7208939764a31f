/* generation.h: dedupe keys on disk: immutable generations, each written once, in key order, to pages that follow each other.
 *
 * A generation's keys are spread over 2^page_bits pages by their top bits (about 64 keys a page), and each page is one row. A Bloom
 * filter in memory (and in the generation's row, so that opening does not read the pages) says of nearly every new key that it is not
 * there: 512 bits for every 32 keys, 7 bits set for each, wrong about once in 1,000. A generation is dropped as a whole when its last
 * key has expired. Against a B-tree of random keys this writes 1/100 of the pages and reads almost none.
 *
 * Writer thread, inside a transaction. What is written becomes visible to find() with bw_generations_keep(), after the commit. */
#ifndef BW_STORE_GENERATION_H
#define BW_STORE_GENERATION_H
#include "store/keyset.h"
#include "store/write_sql.h"

struct bw_generation {
    int64_t id;
    unsigned page_bits;
    int64_t expire_ms; /* of the key that expires last */
    uint8_t *filter;   /* blocks of 64 bytes, two for each page */
};
struct bw_generations { /* zero-initialise, then bw_generations_open() */
    const struct bw_write_statements *sql;
    struct bw_generation *list; /* oldest first */
    size_t count, room;
};

bool bw_generations_open(struct bw_generations *all, const struct bw_write_statements *sql, struct bw_error *err);
void bw_generations_close(struct bw_generations *all);
/* The newest generation that has the key fills *entry; event_id 0 = none has. */
bool bw_generations_find(struct bw_generations *all, struct bw_key key, struct bw_key_entry *entry, struct bw_error *err);

/* Only one at a time may be between begin and keep. */
bool bw_generation_begin(struct bw_generations *all, struct bw_generation *next, size_t keys, struct bw_error *err);
/* Writes the page at *slot of the set (see bw_keyset_next) and moves *slot behind it; *is_last: that was all. Repeating it after a rollback is fine.
 */
bool bw_generation_write_page(struct bw_generations *all, struct bw_generation *next, const struct bw_keyset *keys, size_t *slot, bool *is_last,
                              struct bw_error *err);
bool bw_generation_seal(struct bw_generations *all, const struct bw_generation *next, struct bw_error *err);
void bw_generations_keep(struct bw_generations *all, const struct bw_generation *next); /* after the commit; takes the filter */

/* Deletes a slice of the oldest generation if all of it has expired; *is_gone: bw_generations_forget() it after the commit. */
bool bw_generations_drop_expired(struct bw_generations *all, int64_t now_ms, bool *is_gone, struct bw_error *err);
void bw_generations_forget(struct bw_generations *all);
#endif
