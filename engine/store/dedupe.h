/* dedupe.h: has this source's key rung before, within its window? Exact, and no slower with millions of keys stored.
 *
 * A B-tree of random keys dirties one page per event: more than everything else about an event. So new keys go to memory (`recent`, a
 * keyset) and their durable truth is a column of the event's own, append-only row. When `recent` is full it is frozen, and the frozen
 * keys are written in key order as one generation (generation.h), a few pages with each commit, so that no commit stalls.
 * meta.dedupe_merged is the newest event id whose key is in a generation; opening reads back the keys of the events behind it. A look-up
 * asks recent, frozen, and the generations from the newest: the first answer counts. Expired keys do not count; they go with their
 * generation.
 *
 * Writer thread; find, add and merge inside a transaction, and every transaction ends in bw_dedupe_committed() or
 * bw_dedupe_rolled_back(), which undoes in memory what the transaction did. */
#ifndef BW_STORE_DEDUPE_H
#define BW_STORE_DEDUPE_H
#include "store/generation.h"
#include "store/keyset.h"
#include "store/write_sql.h"

#define BW_DEDUPE_GENERATION 65536 /* keys: 4 MB in memory, and as much again while they are written */

struct bw_dedupe { /* zero-initialise, then bw_dedupe_open(). Fields are dedupe.c's */
    const struct bw_write_statements *sql;
    size_t generation; /* keys after which `recent` is frozen */
    struct bw_keyset recent, frozen;
    struct bw_generations generations;
    struct bw_generation next;                       /* that `frozen` is being written as; no filter = not begun */
    int64_t newest, committed_newest, frozen_newest; /* event ids: of `recent`, of it at the last commit, of `frozen` */
    struct {
        size_t slot;     /* of `frozen`, behind what is written */
        bool is_written; /* all of it, and sealed */
    } walk, committed_walk;
    bool is_oldest_gone;       /* in this transaction */
    int64_t now_ms;            /* the time of the last event */
    struct bw_key_entry *undo; /* what each key that this transaction added held before; event_id 0 = nothing */
    size_t undo_count, undo_room;
    struct evp_md_st *sha256; /* OpenSSL's, fetched once */
    struct evp_md_ctx_st *digest;
};

/* The first 16 bytes of SHA-256(source, NUL, key). */
bool bw_dedupe_key(struct bw_dedupe *dedupe, struct bw_slice source, struct bw_slice key, struct bw_key *out, struct bw_error *err);
bool bw_dedupe_open(struct bw_dedupe *dedupe, const struct bw_write_statements *sql, struct bw_error *err);
void bw_dedupe_close(struct bw_dedupe *dedupe);
/* *event_id: the event that rang with this key and is not expired at now_ms, or 0. */
bool bw_dedupe_find(struct bw_dedupe *dedupe, struct bw_key key, int64_t now_ms, int64_t *event_id, struct bw_error *err);
bool bw_dedupe_add(struct bw_dedupe *dedupe, const struct bw_key_entry *entry, struct bw_error *err);
/* A slice of what there is to move: at least `pages`, and enough to keep ahead of what this transaction added. */
bool bw_dedupe_merge(struct bw_dedupe *dedupe, size_t pages, struct bw_error *err);
bool bw_dedupe_has_work(const struct bw_dedupe *dedupe);
void bw_dedupe_committed(struct bw_dedupe *dedupe);
void bw_dedupe_rolled_back(struct bw_dedupe *dedupe);
#endif
