#include "store/dedupe.h"
#include <openssl/evp.h>
#include <stdlib.h>

#define SWEEP_EVERY_MS (60 * 60 * 1000)
#define SLICE_LIMIT 512 /* keys merged in one transaction */
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
    bw_sql_bind_text(sql->get_meta, 1, MERGED);
    if (!bw_sql_next(sql->get_meta, &has_row, err)) return false;
    if (has_row) merged = sqlite3_column_int64(sql->get_meta, 0);
    sqlite3_reset(sql->get_meta);

    bw_sql_bind_int(sql->unmerged_dedupe, 1, merged);
    for (;;) {
        if (!bw_sql_next(sql->unmerged_dedupe, &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_slice hash = bw_sql_column(sql->unmerged_dedupe, 1);
        if (hash.len != 16) continue;
        struct bw_key_entry entry = {.key = bw_key_read((const uint8_t *)hash.ptr),
                                     .event_id = sqlite3_column_int64(sql->unmerged_dedupe, 0),
                                     .expire_ms = sqlite3_column_int64(sql->unmerged_dedupe, 2)};
        dedupe->newest = dedupe->committed_newest = entry.event_id;
        if (!bw_keyset_put(&dedupe->recent, &entry)) {
            sqlite3_reset(sql->unmerged_dedupe);
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
    return read_back(dedupe, err);
}

void bw_dedupe_close(struct bw_dedupe *dedupe)
{
    bw_keyset_free(&dedupe->recent);
    bw_keyset_free(&dedupe->frozen);
    free(dedupe->undo);
    EVP_MD_CTX_free(dedupe->digest);
    EVP_MD_free(dedupe->sha256);
}

bool bw_dedupe_find(struct bw_dedupe *dedupe, struct bw_key key, int64_t now_ms, int64_t *event_id, struct bw_error *err)
{
    dedupe->now_ms = now_ms;
    *event_id = 0;
    const struct bw_key_entry *entry = bw_keyset_find(&dedupe->recent, key);
    if (!entry) entry = bw_keyset_find(&dedupe->frozen, key);
    if (entry) { /* newer than anything that the table says */
        if (entry->expire_ms > now_ms) *event_id = entry->event_id;
        return true;
    }
    uint8_t hash[16];
    bool has_row;
    bw_key_write(key, hash);
    bw_sql_bind_blob(dedupe->sql->find_dedupe, 1, hash, sizeof hash);
    bw_sql_bind_int(dedupe->sql->find_dedupe, 2, now_ms);
    if (!bw_sql_next(dedupe->sql->find_dedupe, &has_row, err)) return false;
    if (has_row) *event_id = sqlite3_column_int64(dedupe->sql->find_dedupe, 0);
    sqlite3_reset(dedupe->sql->find_dedupe);
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

static bool put(struct bw_dedupe *dedupe, const struct bw_key_entry *entry, struct bw_error *err)
{
    uint8_t hash[16];
    sqlite3_stmt *statement = dedupe->sql->put_dedupe;
    bw_key_write(entry->key, hash);
    bw_sql_bind_blob(statement, 1, hash, sizeof hash);
    bw_sql_bind_int(statement, 2, entry->event_id);
    bw_sql_bind_int(statement, 3, entry->expire_ms);
    return bw_sql_run(statement, err);
}

static bool sweep(struct bw_dedupe *dedupe, struct bw_key above, struct bw_key upto, struct bw_error *err)
{
    uint8_t from[16], to[16];
    sqlite3_stmt *statement = dedupe->sql->sweep_dedupe;
    bw_key_write(above, from);
    bw_key_write(upto, to);
    bw_sql_bind_blob(statement, 1, from, sizeof from);
    bw_sql_bind_blob(statement, 2, to, sizeof to);
    bw_sql_bind_int(statement, 3, dedupe->now_ms);
    return bw_sql_run(statement, err);
}

bool bw_dedupe_merge(struct bw_dedupe *dedupe, size_t least, struct bw_error *err)
{
    if (!bw_dedupe_has_work(dedupe)) return true;
    size_t slice = 2 * dedupe->undo_count > least ? 2 * dedupe->undo_count : least;
    if (slice > SLICE_LIMIT) slice = SLICE_LIMIT;
    struct bw_key above = dedupe->walk.key;
    const struct bw_key_entry *entry = NULL;
    while (slice-- > 0 && (entry = bw_keyset_next(&dedupe->frozen, &dedupe->walk.slot)) != NULL) {
        dedupe->walk.key = entry->key;
        if (entry->expire_ms > dedupe->now_ms && !put(dedupe, entry, err)) return false;
    }
    if (!entry) dedupe->walk.key = (struct bw_key){UINT64_MAX, UINT64_MAX};
    if (dedupe->is_sweeping && !sweep(dedupe, above, dedupe->walk.key, err)) return false;
    if (entry) return true;
    bw_sql_bind_text(dedupe->sql->set_meta, 1, MERGED);
    bw_sql_bind_int(dedupe->sql->set_meta, 2, dedupe->frozen_newest);
    return bw_sql_run(dedupe->sql->set_meta, err);
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
    dedupe->walk.key = (struct bw_key){0, 0};
    dedupe->committed_walk = dedupe->walk;
    dedupe->is_sweeping = dedupe->now_ms - dedupe->swept_at_ms >= SWEEP_EVERY_MS;
    if (dedupe->is_sweeping) dedupe->swept_at_ms = dedupe->now_ms;
}

void bw_dedupe_committed(struct bw_dedupe *dedupe)
{
    dedupe->undo_count = 0;
    dedupe->committed_newest = dedupe->newest;
    dedupe->committed_walk = dedupe->walk;
    if (dedupe->frozen.count && dedupe->walk.slot == dedupe->frozen.room) bw_keyset_free(&dedupe->frozen); /* all merged */
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
}
