#include "store/removal.h"
#include "base/clock.h"
#include "store/slots.h"

#define WORK_US 4000
#define STEPS_AT_ONCE 50 /* their outputs may be large: look at the clock in between */

void bw_removal_begin(struct bw_removal *removal, struct bw_parking *parking, struct bw_deliveries *deliveries, int64_t now_ms)
{
    *removal = (struct bw_removal){.sql = parking->sql,
                                   .parking = parking,
                                   .deliveries = deliveries,
                                   .now_ms = now_ms,
                                   .until_us = bw_clock_mono_us() + WORK_US,
                                   .rows = BW_REMOVAL_ROWS};
}

bool bw_removal_is_spent(const struct bw_removal *removal)
{
    return removal->rows <= 0 || bw_clock_mono_us() >= removal->until_us;
}

static bool delete_by_id(struct bw_removal *removal, sqlite3_stmt *statement, int64_t id, struct bw_error *err)
{
    bw_sql_bind_int(statement, 1, id);
    if (!bw_sql_run(statement, err)) return false;
    removal->rows -= sqlite3_changes(sqlite3_db_handle(statement));
    return true;
}

/* The children of `id`, a few at a time. *are_gone false: no room for all of them. */
static bool delete_children(struct bw_removal *removal, sqlite3_stmt *statement, int64_t id, bool *are_gone, struct bw_error *err)
{
    do {
        int64_t before = removal->rows, limit = before < STEPS_AT_ONCE ? before : STEPS_AT_ONCE;
        bw_sql_bind_int(statement, 2, limit);
        if (!delete_by_id(removal, statement, id, err)) return false;
        *are_gone = before - removal->rows < limit;
    } while (!*are_gone && !bw_removal_is_spent(removal));
    return true;
}

bool bw_remove_delivery(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(removal->sql, delete_delivery);
    bool has_row;
    *end = BW_REMOVAL_GONE;
    bw_sql_bind_int(statement, 1, id);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (has_row) {
        bw_deliveries_removed(removal->deliveries, bw_sql_column(statement, 0), (enum bw_outcome)sqlite3_column_int(statement, 1), id);
        removal->rows--;
        removal->removed.deliveries++;
        if (!bw_sql_next(statement, &has_row, err)) return false;
    }
    return true;
}

/* What people have done to the run. */
static bool delete_audit(struct bw_removal *removal, int64_t id, bool *are_gone, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(removal->sql, run_uid);
    char target[BW_UID_TEXT] = "";
    bool has_row;
    bw_sql_bind_int(row, 1, id);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (has_row) bw_uid_text(bw_sql_column_uid(row, 0), BW_UID_RUN, target);
    sqlite3_reset(row);
    bw_sql_bind_text(BW_WRITE(removal->sql, delete_audit), 1, bw_slice_of(target));
    bw_sql_bind_int(BW_WRITE(removal->sql, delete_audit), 2, removal->rows);
    if (!bw_sql_run(BW_WRITE(removal->sql, delete_audit), err)) return false;
    removal->rows -= sqlite3_changes(sqlite3_db_handle(row));
    *are_gone = removal->rows > 0;
    return true;
}

static bool remove_one_run(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err)
{
    const struct bw_write_statements *sql = removal->sql;
    bool are_gone;
    *end = BW_REMOVAL_PARTLY;
    if (!delete_children(removal, BW_WRITE(sql, delete_contexts), id, &are_gone, err)) return false;
    if (!are_gone || removal->rows < 1) return true;
    if (!delete_children(removal, BW_WRITE(sql, delete_run_items), id, &are_gone, err)) return false;
    if (!are_gone || removal->rows < 1) return true;
    if (!delete_children(removal, BW_WRITE(sql, delete_votes), id, &are_gone, err)) return false;
    if (!are_gone || removal->rows < 1) return true;
    if (!delete_children(removal, BW_WRITE(sql, delete_usage), id, &are_gone, err)) return false;
    if (!are_gone || removal->rows < 1) return true;
    if (!delete_audit(removal, id, &are_gone, err)) return false;
    if (!are_gone || removal->rows < 1) return true;
    if (!delete_children(removal, BW_WRITE(sql, delete_collected), id, &are_gone, err)) return false;
    if (!are_gone || removal->rows < 1) return true;
    if (!delete_children(removal, BW_WRITE(sql, delete_joins), id, &are_gone, err)) return false;
    if (!are_gone || removal->rows < 1) return true;
    if (!delete_children(removal, BW_WRITE(sql, delete_steps), id, &are_gone, err)) return false;
    if (!are_gone || removal->rows < 3) return true;
    if (!delete_by_id(removal, BW_WRITE(sql, delete_child), id, err) || !delete_by_id(removal, BW_WRITE(sql, delete_run_collector), id, err))
        return false;
    int64_t before = removal->rows;
    if (!delete_by_id(removal, BW_WRITE(sql, delete_run), id, err) || !bw_slots_resolved(removal->parking, id, err)) return false;
    removal->removed.runs += before - removal->rows;
    *end = BW_REMOVAL_GONE;
    return true;
}

/* Those that the run waited for: 0 = none is left. *is_live: somebody has resumed it, alone. */
static bool find_child(struct bw_removal *removal, int64_t id, int64_t *child, bool *is_live, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(removal->sql, awaited_child);
    bool has_row;
    bw_sql_bind_int(statement, 1, id);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *child = has_row ? sqlite3_column_int64(statement, 0) : 0;
    *is_live = has_row && sqlite3_column_int(statement, 1);
    sqlite3_reset(statement);
    return true;
}

bool bw_remove_run(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err)
{
    for (;;) {
        int64_t lowest = id, child;
        bool is_live;
        do {
            if (!find_child(removal, lowest, &child, &is_live, err)) return false;
            *end = BW_REMOVAL_STAYS;
            if (is_live) return true;
            if (child) lowest = child;
        } while (child);
        if (!remove_one_run(removal, lowest, end, err)) return false;
        if (*end != BW_REMOVAL_GONE || lowest == id) return true;
        *end = BW_REMOVAL_PARTLY;
        if (bw_removal_is_spent(removal)) return true;
    }
}

bool bw_remove_event(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err)
{
    const struct bw_write_statements *sql = removal->sql;
    *end = BW_REMOVAL_PARTLY;
    if (removal->rows < 3 + BW_EVENT_KEYS_MAX) return true;
    bw_sql_bind_int(BW_WRITE(sql, keep_key), 1, id);
    bw_sql_bind_int(BW_WRITE(sql, keep_key), 2, removal->now_ms);
    if (!bw_sql_run(BW_WRITE(sql, keep_key), err) || !delete_by_id(removal, BW_WRITE(sql, delete_matches), id, err) ||
        !delete_by_id(removal, BW_WRITE(sql, delete_event_keys), id, err) || !delete_by_id(removal, BW_WRITE(sql, delete_body), id, err) ||
        !delete_by_id(removal, BW_WRITE(sql, delete_event), id, err))
        return false;
    removal->removed.events++;
    *end = BW_REMOVAL_GONE;
    return true;
}

bool bw_remove_kept_key(struct bw_removal *removal, int64_t event_id, enum bw_removal_end *end, struct bw_error *err)
{
    *end = BW_REMOVAL_GONE;
    return delete_by_id(removal, BW_WRITE(removal->sql, delete_kept_key), event_id, err);
}

bool bw_remove_revision(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err)
{
    bool are_gone;
    *end = BW_REMOVAL_PARTLY;
    if (!delete_children(removal, BW_WRITE(removal->sql, delete_revision_files), id, &are_gone, err)) return false;
    if (!are_gone || removal->rows < 1) return true;
    int64_t before = removal->rows;
    if (!delete_by_id(removal, BW_WRITE(removal->sql, delete_revision), id, err)) return false;
    removal->removed.revisions += before - removal->rows;
    *end = BW_REMOVAL_GONE;
    return true;
}

bool bw_remove_unused_versions(struct bw_removal *removal, enum bw_removal_end *end, struct bw_error *err)
{
    int64_t before = removal->rows;
    *end = BW_REMOVAL_PARTLY;
    if (!delete_by_id(removal, BW_WRITE(removal->sql, delete_versions), before, err)) return false; /* its ?1 is how many at most */
    if (before - removal->rows < before) *end = BW_REMOVAL_GONE;
    return true;
}
