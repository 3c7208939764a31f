#include "store/revision_sweep.h"
#include <stdlib.h>

#define EVENTS_AT_ONCE 5000

void bw_revision_sweep_spare(struct bw_revision_sweep *sweep, int64_t revision)
{
    for (size_t i = 0; i < BW_REVISIONS_SPARED; i++)
        if (sweep->spared[i] == revision) return;
    sweep->spared[sweep->next_spared++ % BW_REVISIONS_SPARED] = revision;
}

static bool is_spared(const struct bw_revision_sweep *sweep, int64_t revision)
{
    for (size_t i = 0; i < BW_REVISIONS_SPARED; i++)
        if (sweep->spared[i] == revision) return true;
    return false;
}

/* A run that was resumed or replayed under it. */
static bool has_run(sqlite3_stmt *statement, int64_t revision, bool *has, struct bw_error *err)
{
    bw_sql_bind_int(statement, 1, revision);
    if (!bw_sql_next(statement, has, err)) return false;
    sqlite3_reset(statement);
    return true;
}

static int by_revision(const void *left, const void *right)
{
    const struct bw_revision_reference *a = left, *b = right;
    return (a->revision > b->revision) - (a->revision < b->revision);
}

static struct bw_revision_reference *find(const struct bw_revision_sweep *sweep, int64_t revision)
{
    const struct bw_revision_reference key = {.revision = revision};
    return sweep->count ? bsearch(&key, sweep->references, sweep->count, sizeof key, by_revision) : NULL;
}

/* All revisions but the newest and the spared ones. */
static bool list_older(const struct bw_revision_sweep *sweep, sqlite3_stmt *statement, struct bw_revision_reference **list, size_t *count,
                       struct bw_error *err)
{
    size_t room = 0;
    bool has_row;
    *list = NULL;
    *count = 0;
    for (;;) {
        if (!bw_sql_next(statement, &has_row, err)) break;
        if (!has_row) return true;
        int64_t revision = sqlite3_column_int64(statement, 0);
        if (is_spared(sweep, revision)) continue;
        if (*count == room) {
            room = room ? 2 * room : 16;
            struct bw_revision_reference *bigger = realloc(*list, room * sizeof *bigger);
            if (!bigger) {
                sqlite3_reset(statement);
                bw_error_set(err, "store.refused", "no memory to look for unused catalogue revisions");
                break;
            }
            *list = bigger;
        }
        (*list)[(*count)++] = (struct bw_revision_reference){.revision = revision};
    }
    free(*list);
    *list = NULL;
    return false;
}

static bool event_exists(sqlite3_stmt *statement, int64_t id, bool *exists, struct bw_error *err)
{
    bw_sql_bind_int(statement, 1, id);
    if (!bw_sql_next(statement, exists, err)) return false;
    sqlite3_reset(statement);
    return true;
}

/* Begins a walk if one of the revisions may be unused: its last event is gone, or nobody has asked about it yet. */
static bool begin(struct bw_revision_sweep *sweep, const struct bw_write_statements *sql, struct bw_error *err)
{
    struct bw_revision_reference *older;
    size_t count;
    bool is_due = false;
    if (!list_older(sweep, BW_WRITE(sql, older_revisions), &older, &count, err)) return false;
    for (size_t i = 0; i < count && !is_due; i++) {
        const struct bw_revision_reference *known = find(sweep, older[i].revision);
        bool exists = false;
        if (known && known->last_event && !event_exists(BW_WRITE(sql, event_uid), known->last_event, &exists, err)) {
            free(older);
            return false;
        }
        is_due = !exists;
    }
    if (!is_due) {
        free(older);
        return true;
    }
    free(sweep->references);
    sweep->references = older;
    sweep->count = count;
    sweep->cursor = 0;
    sweep->is_walking = true;
    return true;
}

static bool walk(struct bw_revision_sweep *sweep, sqlite3_stmt *statement, struct bw_error *err)
{
    size_t rows = 0;
    bw_sql_bind_int(statement, 1, sweep->cursor);
    bw_sql_bind_int(statement, 2, EVENTS_AT_ONCE);
    for (bool has_row;; rows++) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) break;
        sweep->cursor = sqlite3_column_int64(statement, 0);
        struct bw_revision_reference *reference = find(sweep, sqlite3_column_int64(statement, 1));
        if (reference) reference->last_event = sweep->cursor;
    }
    sweep->is_removing = rows < EVENTS_AT_ONCE;
    sweep->is_walking = !sweep->is_removing;
    return true;
}

bool bw_revision_sweep_slice(struct bw_revision_sweep *sweep, struct bw_removal *removal, bool *is_finished, struct bw_error *err)
{
    enum bw_removal_end end;
    *is_finished = false;
    if (!sweep->is_walking && !sweep->is_removing) {
        if (!begin(sweep, removal->sql, err)) return false;
        *is_finished = !sweep->is_walking;
        return true;
    }
    if (sweep->is_walking) return walk(sweep, BW_WRITE(removal->sql, event_revisions), err);
    /* What an earlier slice removed is removed again at no cost, so a slice that was rolled back leaves nothing out. */
    for (size_t i = 0; i < sweep->count; i++) {
        if (sweep->references[i].last_event || is_spared(sweep, sweep->references[i].revision)) continue;
        bool is_used;
        if (!has_run(BW_WRITE(removal->sql, run_of_revision), sweep->references[i].revision, &is_used, err)) return false;
        if (is_used) continue;
        if (!bw_remove_revision(removal, sweep->references[i].revision, &end, err)) return false;
        if (end != BW_REMOVAL_GONE) return true;
    }
    if (!bw_remove_unused_versions(removal, &end, err)) return false;
    *is_finished = end == BW_REMOVAL_GONE;
    sweep->is_removing = !*is_finished;
    return true;
}

void bw_revision_sweep_close(struct bw_revision_sweep *sweep)
{
    free(sweep->references);
}
