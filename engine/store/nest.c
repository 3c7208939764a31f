#include "store/nest.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* ---- lending ---- */

/* The group of one slot: that which this run has in its own group. */
static bool lent_group(struct bw_slice group, int64_t run_id, uint8_t out[BW_SLOT_GROUP_BYTES], struct bw_error *err)
{
    unsigned char text[1 + BW_SLOT_GROUP_BYTES + 8] = {'l'};
    if (group.len != BW_SLOT_GROUP_BYTES) return bw_error_set(err, "store.refused", "the group of a slot is malformed");
    memcpy(text + 1, group.ptr, group.len);
    for (size_t i = 0; i < 8; i++) text[1 + BW_SLOT_GROUP_BYTES + i] = (unsigned char)((uint64_t)run_id >> 8 * i);
    return EVP_Digest(text, sizeof text, out, NULL, EVP_sha256(), NULL) == 1 || bw_error_set(err, "store.refused", "SHA-256 failed");
}

bool bw_nest_look(struct bw_parking *parking, int64_t run_id, const uint8_t group[BW_SLOT_GROUP_BYTES], struct bw_nest *nest, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, slots_above);
    *nest = (struct bw_nest){.lender = 0};
    bw_sql_bind_int(row, 1, run_id);
    bw_sql_bind_blob(row, 2, group, BW_SLOT_GROUP_BYTES);
    for (bool has_row;;) {
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) return true;
        bool is_same = sqlite3_column_int(row, 2) != 0, is_kept = sqlite3_column_int(row, 3) != 0;
        nest->has_keeper |= is_kept;
        nest->will_be_free |= is_same && !is_kept;
        if (!is_same || !is_kept || nest->lender) continue;
        nest->lender = sqlite3_column_int64(row, 0);
        if (!lent_group(bw_sql_column(row, 1), nest->lender, nest->group, err)) return sqlite3_reset(row), false;
    }
}

/* ---- circles ---- */

struct group {
    uint8_t bytes[BW_SLOT_GROUP_BYTES];
    bool is_free; /* one of its slots will be, without anybody's help */
};
struct wait { /* someone who has a slot of one group waits for a run that waits in another one */
    size_t from, to;
    int64_t holder, run_id;
    bool has_begun;
};
struct search {
    struct bw_parking *parking;
    struct group *groups;
    struct wait *waits; /* those of a group and of a holder stand together */
    size_t group_count, wait_count;
};

/* Room for one more: twice as much whenever a power of two is full. */
static bool grow(void *array, size_t count, size_t size, struct bw_error *err)
{
    void **at = array;
    if (count & (count - 1)) return true;
    void *more = realloc(*at, (count ? 2 * count : 1) * size);
    if (!more) return bw_error_set(err, "memory", "out of memory");
    *at = more;
    return true;
}

static bool find_group(struct search *search, const void *bytes, size_t *index, struct bw_error *err)
{
    for (*index = 0; *index < search->group_count; ++*index)
        if (!memcmp(search->groups[*index].bytes, bytes, BW_SLOT_GROUP_BYTES)) return true;
    if (!grow(&search->groups, search->group_count, sizeof *search->groups, err)) return false;
    search->groups[search->group_count] = (struct group){.is_free = false};
    memcpy(search->groups[search->group_count++].bytes, bytes, BW_SLOT_GROUP_BYTES);
    return true;
}

static bool add_waits_of(struct search *search, size_t from, int64_t holder, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(search->parking->sql, waiting_below);
    size_t before = search->wait_count;
    bool good = true;
    bw_sql_bind_int(row, 1, holder);
    for (bool has_row; good;) {
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) break;
        struct wait wait = {.from = from, .holder = holder, .run_id = sqlite3_column_int64(row, 0), .has_begun = sqlite3_column_int(row, 2) != 0};
        struct bw_slice group = bw_sql_column(row, 1);
        good = group.len == BW_SLOT_GROUP_BYTES || bw_error_set(err, "store.refused", "the group of a slot is malformed");
        good = good && find_group(search, group.ptr, &wait.to, err) && grow(&search->waits, search->wait_count, sizeof *search->waits, err);
        if (good) search->waits[search->wait_count++] = wait;
    }
    sqlite3_reset(row);
    if (search->wait_count == before) search->groups[from].is_free = true; /* it goes on by itself */
    return good;
}

/* Who has its slots, and what they wait for: as long as each one does. */
static bool add_holders_of(struct search *search, size_t index, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(search->parking->sql, group_holders);
    struct group *group = &search->groups[index];
    bool good = true, is_any = false;
    bw_sql_bind_blob(row, 1, group->bytes, sizeof group->bytes);
    while (good && !search->groups[index].is_free) {
        bool has_row;
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) break;
        is_any = true;
        if (!sqlite3_column_int(row, 1))
            search->groups[index].is_free = true; /* it gives its slot up as soon as it only waits */
        else
            good = add_waits_of(search, index, sqlite3_column_int64(row, 0), err);
    }
    sqlite3_reset(row);
    if (!is_any) search->groups[index].is_free = true;
    return good;
}

/* A group is free as soon as all that one of its holders waits for is in free groups. */
static void settle(struct search *search)
{
    for (bool has_changed = true; has_changed;) {
        has_changed = false;
        for (size_t i = 0, end; i < search->wait_count; i = end) {
            const struct wait *wait = &search->waits[i];
            bool are_free = true;
            for (end = i; end < search->wait_count && search->waits[end].holder == wait->holder; end++)
                are_free &= search->groups[search->waits[end].to].is_free;
            if (!are_free || search->groups[wait->from].is_free) continue;
            search->groups[wait->from].is_free = has_changed = true;
        }
    }
}

/* Of those that are stuck: the run itself when it has not begun, else the newest one that has not. */
static void choose(const struct search *search, int64_t run_id, struct bw_circle *circle)
{
    const struct wait *chosen = NULL, *self = NULL;
    circle->run_id = run_id;
    for (size_t i = 0; i < search->wait_count; i++) {
        const struct wait *wait = &search->waits[i];
        if (search->groups[wait->from].is_free || search->groups[wait->to].is_free) continue;
        if (!wait->from && !circle->holder) circle->holder = wait->holder;
        if (wait->run_id == run_id) self = wait;
        if (!wait->has_begun && (!chosen || wait->run_id > chosen->run_id)) chosen = wait;
    }
    if (chosen && (!self || self->has_begun)) circle->run_id = chosen->run_id;
}

bool bw_nest_find_circle(struct bw_parking *parking, int64_t run_id, const uint8_t group[BW_SLOT_GROUP_BYTES], struct bw_circle *circle,
                         struct bw_error *err)
{
    struct search search = {.parking = parking};
    size_t first;
    *circle = (struct bw_circle){.run_id = 0};
    bool good = find_group(&search, group, &first, err);
    for (size_t i = 0; good && i < search.group_count && !search.groups[first].is_free; i++) good = add_holders_of(&search, i, err);
    if (good && !search.groups[first].is_free) settle(&search);
    if (good && !search.groups[first].is_free) choose(&search, run_id, circle);
    free(search.groups);
    free(search.waits);
    return good;
}
