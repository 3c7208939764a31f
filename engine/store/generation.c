#include "store/generation.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_PER_PAGE 64
#define PAGE_ID_BITS 20
#define BLOCK_BYTES 64
#define FILTER_BITS_SET 7
#define DROP_PAGES 64 /* in one transaction */

struct entry_on_page { /* the key as it sorts, the rest little endian */
    uint8_t key[16];
    uint64_t event_id, expire_ms;
};
_Static_assert(sizeof(struct entry_on_page) == 32, "part of the file format");

static bool no_memory(struct bw_error *err)
{
    return bw_error_set(err, "store.refused", "no memory for dedupe keys");
}

static size_t filter_bytes(unsigned page_bits)
{
    return (size_t)BLOCK_BYTES << (page_bits + 1);
}

static uint64_t top_bits(struct bw_key key, unsigned bits)
{
    return bits ? key.high >> (64 - bits) : 0;
}

static uint8_t *block_of(const struct bw_generation *generation, struct bw_key key)
{
    return generation->filter + BLOCK_BYTES * top_bits(key, generation->page_bits + 1);
}

static void filter_add(struct bw_generation *generation, struct bw_key key)
{
    uint8_t *block = block_of(generation, key);
    for (int i = 0; i < FILTER_BITS_SET; i++, key.low >>= 9) block[key.low % 512 / 8] |= (uint8_t)(1u << key.low % 8);
}

static bool filter_may_have(const struct bw_generation *generation, struct bw_key key)
{
    const uint8_t *block = block_of(generation, key);
    for (int i = 0; i < FILTER_BITS_SET; i++, key.low >>= 9)
        if (!(block[key.low % 512 / 8] & 1u << key.low % 8)) return false;
    return true;
}

static int64_t page_id(const struct bw_generation *generation, uint64_t page)
{
    return generation->id << PAGE_ID_BITS | (int64_t)page;
}

static bool make_room(struct bw_generations *all)
{
    if (all->count < all->room) return true;
    size_t room = all->room ? 2 * all->room : 16;
    struct bw_generation *bigger = realloc(all->list, room * sizeof *bigger);
    if (!bigger) return false;
    all->list = bigger;
    all->room = room;
    return true;
}

static bool load(struct bw_generations *all, sqlite3_stmt *row, struct bw_error *err)
{
    struct bw_generation generation = {
        .id = sqlite3_column_int64(row, 0), .page_bits = (unsigned)sqlite3_column_int(row, 1), .expire_ms = sqlite3_column_int64(row, 2)};
    struct bw_slice filter = bw_sql_column(row, 3);
    if (generation.page_bits >= PAGE_ID_BITS || filter.len != filter_bytes(generation.page_bits))
        return bw_error_set(err, "store.failed", "dedupe generation %lld is damaged", (long long)generation.id);
    generation.filter = malloc(filter.len);
    if (!generation.filter || !make_room(all)) {
        free(generation.filter);
        return no_memory(err);
    }
    memcpy(generation.filter, filter.ptr, filter.len);
    all->list[all->count++] = generation;
    return true;
}

bool bw_generations_open(struct bw_generations *all, const struct bw_write_statements *sql, struct bw_error *err)
{
    all->sql = sql;
    for (bool has_row;;) {
        if (!bw_sql_next(BW_WRITE(sql, generations), &has_row, err)) return false;
        if (!has_row) return true;
        if (!load(all, BW_WRITE(sql, generations), err)) {
            sqlite3_reset(BW_WRITE(sql, generations));
            return false;
        }
    }
}

void bw_generations_close(struct bw_generations *all)
{
    while (all->count) free(all->list[--all->count].filter);
    free(all->list);
}

static void search_page(struct bw_slice page, struct bw_key key, struct bw_key_entry *entry)
{
    uint8_t bytes[16];
    size_t low = 0, high = page.len / sizeof(struct entry_on_page);
    bw_key_write(key, bytes);
    while (low < high) {
        struct entry_on_page found;
        size_t middle = (low + high) / 2;
        memcpy(&found, page.ptr + middle * sizeof found, sizeof found);
        int order = memcmp(found.key, bytes, sizeof bytes);
        if (order == 0) {
            *entry = (struct bw_key_entry){key, (int64_t)le64toh(found.event_id), (int64_t)le64toh(found.expire_ms)};
            return;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
}

bool bw_generations_find(struct bw_generations *all, struct bw_key key, struct bw_key_entry *entry, struct bw_error *err)
{
    entry->event_id = 0;
    for (size_t i = all->count; i-- > 0 && entry->event_id == 0;) {
        const struct bw_generation *generation = &all->list[i];
        bool has_row;
        if (!filter_may_have(generation, key)) continue;
        bw_sql_bind_int(BW_WRITE(all->sql, key_page), 1, page_id(generation, top_bits(key, generation->page_bits)));
        if (!bw_sql_next(BW_WRITE(all->sql, key_page), &has_row, err)) return false;
        if (has_row) search_page(bw_sql_column(BW_WRITE(all->sql, key_page), 0), key, entry);
        sqlite3_reset(BW_WRITE(all->sql, key_page));
    }
    return true;
}

bool bw_generation_begin(struct bw_generations *all, struct bw_generation *next, size_t keys, struct bw_error *err)
{
    *next = (struct bw_generation){.id = all->count ? all->list[all->count - 1].id + 1 : 1};
    while (((size_t)KEYS_PER_PAGE << next->page_bits) < keys && next->page_bits < PAGE_ID_BITS - 1) next->page_bits++;
    if (!make_room(all)) return no_memory(err);
    next->filter = calloc(1, filter_bytes(next->page_bits));
    return next->filter || no_memory(err);
}

bool bw_generation_write_page(struct bw_generations *all, struct bw_generation *next, const struct bw_keyset *keys, size_t *slot, bool *is_last,
                              struct bw_error *err)
{
    struct bw_buf page = {0};
    const struct bw_key_entry *entry;
    uint64_t number = 0;
    size_t behind = *slot;
    *is_last = true;
    while ((entry = bw_keyset_next(keys, &behind)) != NULL) {
        if (page.len == 0) number = top_bits(entry->key, next->page_bits);
        *is_last = top_bits(entry->key, next->page_bits) == number;
        if (!*is_last) break;
        struct entry_on_page out = {.event_id = htole64((uint64_t)entry->event_id), .expire_ms = htole64((uint64_t)entry->expire_ms)};
        bw_key_write(entry->key, out.key);
        bw_buf_append(&page, &out, sizeof out);
        filter_add(next, entry->key);
        if (entry->expire_ms > next->expire_ms) next->expire_ms = entry->expire_ms;
        *slot = behind;
    }
    bool ok = !page.failed || no_memory(err);
    if (ok && page.len) {
        bw_sql_bind_int(BW_WRITE(all->sql, put_key_page), 1, page_id(next, number));
        bw_sql_bind_blob(BW_WRITE(all->sql, put_key_page), 2, page.data, page.len);
        ok = bw_sql_run(BW_WRITE(all->sql, put_key_page), err);
    }
    bw_buf_free(&page);
    return ok;
}

bool bw_generation_seal(struct bw_generations *all, const struct bw_generation *next, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(all->sql, put_generation);
    bw_sql_bind_int(statement, 1, next->id);
    bw_sql_bind_int(statement, 2, next->page_bits);
    bw_sql_bind_int(statement, 3, next->expire_ms);
    bw_sql_bind_blob(statement, 4, next->filter, filter_bytes(next->page_bits));
    return bw_sql_run(statement, err);
}

void bw_generations_keep(struct bw_generations *all, const struct bw_generation *next)
{
    all->list[all->count++] = *next; /* begin made the room */
}

bool bw_generations_drop_expired(struct bw_generations *all, int64_t now_ms, bool *is_gone, struct bw_error *err)
{
    *is_gone = false;
    if (!all->count || all->list[0].expire_ms > now_ms) return true;
    sqlite3_stmt *statement = BW_WRITE(all->sql, delete_key_pages);
    bw_sql_bind_int(statement, 1, (all->list[0].id + 1) << PAGE_ID_BITS);
    bw_sql_bind_int(statement, 2, DROP_PAGES);
    if (!bw_sql_run(statement, err)) return false;
    if (sqlite3_changes(sqlite3_db_handle(statement)) > 0) return true;
    bw_sql_bind_int(BW_WRITE(all->sql, delete_generation), 1, all->list[0].id);
    *is_gone = bw_sql_run(BW_WRITE(all->sql, delete_generation), err);
    return *is_gone;
}

void bw_generations_forget(struct bw_generations *all)
{
    free(all->list[0].filter);
    memmove(all->list, all->list + 1, --all->count * sizeof *all->list);
}
