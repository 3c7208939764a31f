#include "store/dedupe.h"
#include <openssl/evp.h>
#include <stdlib.h>

#define PAGES_LIMIT 16 /* written in one transaction */
#define KEYS_A_PAGE 64 /* about */
#define MERGED BW_SLICE("dedupe_merged")

bool bw_dedupe_key(struct bw_dedupe *dedupe, struct bw_slice source, struct bw_slice key, struct bw_key *out, struct bw_error *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (!EVP_DigestInit_ex2(dedupe->digest, dedupe->sha256, NULL) || !EVP_DigestUpdate(dedupe->digest, source.ptr, source.len) ||
        !EVP_DigestUpdate(dedupe->digest, "", 1) || /* no source's name holds a NUL */
        !EVP_DigestUpdate(dedupe->digest, key.ptr, key.len) || !EVP_DigestFinal_ex(dedupe->digest, digest, NULL))
        return bw_error_set(err, "store.refused", "SHA-256 failed");
    *out = bw_key_read(digest);
    return true;
}

static bool no_memory(struct bw_error *err)
{
    return bw_error_set(err, "store.refused", "no memory for a dedupe key");
}

static bool read_back(struct bw_dedupe *dedupe, struct bw_error *err)
{
    const struct bw_write_statements *sql = dedupe->sql;
    int64_t merged = 0;
    bool has_row;
    bw_sql_bind_text(BW_WRITE(sql, get_meta), 1, MERGED);
    if (!bw_sql_next(BW_WRITE(sql, get_meta), &has_row, err)) return false;
    if (has_row) merged = sqlite3_column_int64(BW_WRITE(sql, get_meta), 0);
    sqlite3_reset(BW_WRITE(sql, get_meta));

    bw_sql_bind_int(BW_WRITE(sql, unmerged_keys), 1, merged);
    for (;;) {
        if (!bw_sql_next(BW_WRITE(sql, unmerged_keys), &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_slice hash = bw_sql_column(BW_WRITE(sql, unmerged_keys), 1);
        if (hash.len != 16) continue;
        struct bw_key_entry entry = {.key = bw_key_read((const uint8_t *)hash.ptr),
                                     .event_id = sqlite3_column_int64(BW_WRITE(sql, unmerged_keys), 0),
                                     .expire_ms = sqlite3_column_int64(BW_WRITE(sql, unmerged_keys), 2)};
        dedupe->newest = dedupe->committed_newest = entry.event_id;
        if (!bw_keyset_put(&dedupe->recent, &entry)) {
            sqlite3_reset(BW_WRITE(sql, unmerged_keys));
            return no_memory(err);
        }
    }
}

bool bw_dedupe_open(struct bw_dedupe *dedupe, const struct bw_write_statements *sql, struct bw_error *err)
{
    dedupe->sql = sql;
    if (!dedupe->generation) dedupe->generation = BW_DEDUPE_GENERATION;
    dedupe->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    dedupe->digest = EVP_MD_CTX_new();
    if (!dedupe->sha256 || !dedupe->digest) return bw_error_set(err, "store.refused", "no SHA-256");
    return bw_generations_open(&dedupe->generations, sql, err) && read_back(dedupe, err);
}

void bw_dedupe_close(struct bw_dedupe *dedupe)
{
    bw_keyset_free(&dedupe->recent);
    bw_keyset_free(&dedupe->frozen);
    bw_generations_close(&dedupe->generations);
    free(dedupe->next.filter);
    free(dedupe->undo);
    EVP_MD_CTX_free(dedupe->digest);
    EVP_MD_free(dedupe->sha256);
}

bool bw_dedupe_find(struct bw_dedupe *dedupe, struct bw_key key, int64_t now_ms, int64_t *event_id, struct bw_error *err)
{
    struct bw_key_entry stored;
    dedupe->now_ms = now_ms;
    const struct bw_key_entry *entry = bw_keyset_find(&dedupe->recent, key);
    if (!entry) entry = bw_keyset_find(&dedupe->frozen, key);
    if (!entry) {
        if (!bw_generations_find(&dedupe->generations, key, &stored, err)) return false;
        entry = &stored;
    }
    *event_id = entry->event_id && entry->expire_ms > now_ms ? entry->event_id : 0;
    return true;
}

bool bw_dedupe_add(struct bw_dedupe *dedupe, const struct bw_key_entry *entry, struct bw_error *err)
{
    if (dedupe->undo_count == dedupe->undo_room) {
        size_t room = dedupe->undo_room ? 2 * dedupe->undo_room : 64;
        struct bw_key_entry *bigger = realloc(dedupe->undo, room * sizeof *bigger);
        if (!bigger) return no_memory(err);
        dedupe->undo = bigger;
        dedupe->undo_room = room;
    }
    const struct bw_key_entry *before = bw_keyset_find(&dedupe->recent, entry->key);
    dedupe->undo[dedupe->undo_count] = before ? *before : (struct bw_key_entry){.key = entry->key};
    if (!bw_keyset_put(&dedupe->recent, entry)) return no_memory(err);
    dedupe->undo_count++;
    dedupe->newest = entry->event_id;
    return true;
}

static bool finish_generation(struct bw_dedupe *dedupe, struct bw_error *err)
{
    bw_sql_bind_text(BW_WRITE(dedupe->sql, set_meta), 1, MERGED);
    bw_sql_bind_int(BW_WRITE(dedupe->sql, set_meta), 2, dedupe->frozen_newest);
    dedupe->walk.is_written = bw_generation_seal(&dedupe->generations, &dedupe->next, err) && bw_sql_run(BW_WRITE(dedupe->sql, set_meta), err);
    return dedupe->walk.is_written;
}

bool bw_dedupe_merge(struct bw_dedupe *dedupe, size_t pages, struct bw_error *err)
{
    if (!dedupe->is_oldest_gone && !bw_generations_drop_expired(&dedupe->generations, dedupe->now_ms, &dedupe->is_oldest_gone, err)) return false;
    if (!dedupe->frozen.count || dedupe->walk.is_written) return true;
    if (!dedupe->next.filter && !bw_generation_begin(&dedupe->generations, &dedupe->next, dedupe->frozen.count, err)) return false;
    /* Twice as many keys as came: a generation is written before the next one is full. */
    size_t ahead = (2 * dedupe->undo_count + KEYS_A_PAGE - 1) / KEYS_A_PAGE;
    if (pages < ahead) pages = ahead;
    if (pages > PAGES_LIMIT) pages = PAGES_LIMIT;
    for (bool is_last = false; pages > 0; pages--) {
        if (!bw_generation_write_page(&dedupe->generations, &dedupe->next, &dedupe->frozen, &dedupe->walk.slot, &is_last, err)) return false;
        if (is_last) return finish_generation(dedupe, err);
    }
    return true;
}

bool bw_dedupe_has_work(const struct bw_dedupe *dedupe)
{
    return dedupe->frozen.count > 0;
}

static void freeze(struct bw_dedupe *dedupe)
{
    dedupe->frozen = dedupe->recent;
    dedupe->frozen_newest = dedupe->newest;
    dedupe->recent = (struct bw_keyset){0};
    dedupe->walk.slot = 0;
    dedupe->walk.is_written = false;
    dedupe->committed_walk = dedupe->walk;
}

void bw_dedupe_committed(struct bw_dedupe *dedupe)
{
    dedupe->undo_count = 0;
    dedupe->committed_newest = dedupe->newest;
    dedupe->committed_walk = dedupe->walk;
    if (dedupe->is_oldest_gone) bw_generations_forget(&dedupe->generations);
    dedupe->is_oldest_gone = false;
    if (dedupe->frozen.count && dedupe->walk.is_written) {
        bw_generations_keep(&dedupe->generations, &dedupe->next);
        dedupe->next.filter = NULL;
        bw_keyset_free(&dedupe->frozen);
    }
    if (!dedupe->frozen.count && dedupe->recent.count >= dedupe->generation) freeze(dedupe);
}

void bw_dedupe_rolled_back(struct bw_dedupe *dedupe)
{
    while (dedupe->undo_count) {
        const struct bw_key_entry *before = &dedupe->undo[--dedupe->undo_count];
        if (before->event_id)
            bw_keyset_put(&dedupe->recent, before); /* replaces: needs no memory */
        else
            bw_keyset_remove(&dedupe->recent, before->key);
    }
    dedupe->newest = dedupe->committed_newest;
    dedupe->walk = dedupe->committed_walk;
    dedupe->is_oldest_gone = false;
}
