#include "store/children.h"
#include "base/clock.h"
#include "store/admission.h"
#include "store/letters_apply.h"
#include "store/parking_step.h"
#include "store/pausing.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK_ITEMS 64
#define BLOCKS_MAX 2048 /* of a join: BW_CHILDREN_MAX items fit */
_Static_assert(BW_CHILDREN_MAX <= BLOCK_ITEMS * BLOCKS_MAX, "the number of a block has eleven bits");

struct join { /* its row */
    int64_t id, run_id, event_id;
    struct bw_uid run;
    char path[256];
    int64_t total, concurrency, allowed, started, succeeded, failed;
    int64_t again, again_from; /* children that are to be run once more */
    char workflow[80];
    uint8_t version[32];
    struct bw_slice asks; /* of a called workflow: its run asks by it when it may begin, but not here (bw_admission_of_call()) */
};

bool bw_join_asks(const struct bw_join_new *join)
{
    const struct bw_start_new *start = &join->start;
    return join->is_call && (join->slot.most || start->count || start->ready_ms || start->until_ms);
}

/* ---- items ---- */

bool bw_child_item_next(struct bw_slice *items, struct bw_slice *item)
{
    if (items->len < 4) return false;
    const unsigned char *at = (const unsigned char *)items->ptr;
    size_t len = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
    if (len > items->len - 4) return false;
    *item = (struct bw_slice){items->ptr + 4, len};
    *items = (struct bw_slice){items->ptr + 4 + len, items->len - 4 - len};
    return true;
}

static bool put_items(struct bw_parking *parking, int64_t join_id, const struct bw_join_new *join, struct bw_error *err)
{
    struct bw_slice left = join->items, item;
    for (int64_t block = 0; left.len; block++) {
        struct bw_slice begin = left;
        for (size_t i = 0; i < BLOCK_ITEMS && left.len; i++)
            if (!bw_child_item_next(&left, &item)) return bw_error_set(err, "store.refused", "the items of a step are malformed");
        if (block == BLOCKS_MAX) return bw_error_set(err, "store.refused", "a step has more than %d items", BW_CHILDREN_MAX);
        bw_sql_bind_int(BW_WRITE(parking->sql, put_items), 1, join_id * BLOCKS_MAX + block);
        bw_sql_bind_blob(BW_WRITE(parking->sql, put_items), 2, begin.ptr, begin.len - left.len);
        if (!bw_sql_run(BW_WRITE(parking->sql, put_items), err)) return false;
    }
    return true;
}

static bool delete_items(struct bw_parking *parking, int64_t first_id, int64_t behind_id, struct bw_error *err)
{
    bw_sql_bind_int(BW_WRITE(parking->sql, delete_items), 1, first_id);
    bw_sql_bind_int(BW_WRITE(parking->sql, delete_items), 2, behind_id);
    return bw_sql_run(BW_WRITE(parking->sql, delete_items), err);
}

/* ---- starting ---- */

/* A call is a new run of the workflow that is called; items are part of the run that has begun. */
static bool is_held(struct bw_parking *parking, const struct join *join, int64_t run_id, bool *answer, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, is_called);
    if (!bw_pausing_holds_new(parking, run_id, answer, err)) return false;
    if (!*answer) return true;
    bw_sql_bind_int(statement, 1, join->id);
    if (!bw_sql_next(statement, answer, err)) return false;
    sqlite3_reset(statement);
    return true;
}

static bool insert_child(struct bw_parking *parking, const struct join *join, int64_t number, struct bw_slice input, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    struct bw_uid uid = bw_uid_of_child(join->run, bw_slice_of(join->path), (uint32_t)number);
    sqlite3_stmt *statement = BW_WRITE(sql, insert_child_run);
    bw_sql_bind_blob(statement, 1, uid.bytes, sizeof uid.bytes);
    bw_sql_bind_int(statement, 2, join->event_id);
    bw_sql_bind_text(statement, 3, bw_slice_of(join->workflow));
    bw_sql_bind_blob(statement, 4, join->version, sizeof join->version);
    bw_sql_bind_int(statement, 5, bw_clock_wall_ms());
    bw_sql_bind_int(statement, 6, join->run_id);
    bw_sql_bind_int(statement, 7, join->id);
    bw_sql_bind_int(statement, 8, join->asks.len ? BW_RUN_BLOCKED : BW_RUN_ACTIVE);
    bw_sql_bind_text_or_null(statement, 9, join->asks);
    if (!bw_sql_run(statement, err)) return false;
    int64_t run_id = sqlite3_last_insert_rowid(sqlite3_db_handle(statement));
    bw_sql_bind_int(BW_WRITE(sql, put_child), 1, run_id);
    bw_sql_bind_int(BW_WRITE(sql, put_child), 2, join->id);
    bw_sql_bind_int(BW_WRITE(sql, put_child), 3, number);
    bw_sql_bind_blob_or_null(BW_WRITE(sql, put_child), 4, input);
    bool holds;
    if (!bw_sql_run(BW_WRITE(sql, put_child), err)) return false;
    if (join->asks.len) return true; /* what becomes of it is decided when it asks */
    if (!is_held(parking, join, run_id, &holds, err)) return false;
    return holds ? bw_pausing_hold(parking, run_id, 0, err) : bw_parking_enqueue(parking, run_id, err);
}

/* The next items, up to `count` of them out of one block. */
static bool start_from_block(struct bw_parking *parking, struct join *join, int64_t count, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, get_items);
    int64_t block = join->id * BLOCKS_MAX + join->started / BLOCK_ITEMS, in_block = join->started % BLOCK_ITEMS;
    struct bw_slice items, item;
    bool has_row, ok = true;
    bw_sql_bind_int(statement, 1, block);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (!has_row) return bw_error_set(err, "store.refused", "items of a step are missing");
    items = bw_sql_column(statement, 0);
    for (int64_t i = 0; ok && i < BLOCK_ITEMS && count > 0; i++) {
        ok = bw_child_item_next(&items, &item);
        if (!ok) bw_error_set(err, "store.refused", "items of a step are missing");
        if (!ok || i < in_block) continue;
        ok = insert_child(parking, join, join->started, item, err);
        join->started++;
        count--;
    }
    sqlite3_reset(statement);
    bool is_used_up = join->started % BLOCK_ITEMS == 0 || join->started == join->total;
    return ok && (!is_used_up || delete_items(parking, block, block + 1, err));
}

/* The next one that failed, or was cancelled with its parent, goes on with what it has. */
static bool start_again(struct bw_parking *parking, struct join *join, struct bw_error *err)
{
    sqlite3_stmt *next = BW_WRITE(parking->sql, next_dead_child), *set = BW_WRITE(parking->sql, set_child_version);
    bool has_row;
    bw_sql_bind_int(next, 1, join->id);
    bw_sql_bind_int(next, 2, join->again_from);
    if (!bw_sql_next(next, &has_row, err)) return false;
    if (!has_row) return bw_error_set(err, "store.refused", "a run that is to be run once more is missing");
    int64_t run_id = sqlite3_column_int64(next, 0);
    join->again_from = sqlite3_column_int64(next, 1) + 1;
    join->again--;
    sqlite3_reset(next);
    bw_sql_bind_int(set, 1, run_id);
    bw_sql_bind_text(set, 2, bw_slice_of(join->workflow));
    bw_sql_bind_blob(set, 3, join->version, sizeof join->version);
    bw_sql_bind_int(set, 4, join->run_id);
    bw_sql_bind_text_or_null(set, 5, join->asks);
    return bw_sql_run(set, err) && bw_letters_revive(parking, run_id, bw_clock_wall_ms(), err) &&
           (join->asks.len || bw_admission_again(parking, run_id, 0, err));
}

static int64_t alive(const struct join *join)
{
    return join->started - join->succeeded - join->failed - join->again;
}

static bool start(struct bw_parking *parking, struct join *join, struct bw_error *err)
{
    int64_t before = join->started - join->again;
    while (join->again && alive(join) < join->concurrency)
        if (!start_again(parking, join, err)) return false;
    for (;;) {
        int64_t room = join->concurrency - alive(join);
        if (room > join->total - join->started) room = join->total - join->started;
        if (join->again || room <= 0) break;
        if (!start_from_block(parking, join, room, err)) return false;
    }
    if (join->started - join->again == before) return true;
    parking->started += (size_t)(join->started - join->again - before);
    bw_sql_bind_int(BW_WRITE(parking->sql, set_started), 1, join->id);
    bw_sql_bind_int(BW_WRITE(parking->sql, set_started), 2, join->started);
    bw_sql_bind_int(BW_WRITE(parking->sql, set_started), 3, join->again);
    bw_sql_bind_int(BW_WRITE(parking->sql, set_started), 4, join->again_from);
    return bw_sql_run(BW_WRITE(parking->sql, set_started), err);
}

/* The step is reported once more, by a worker that does not know of the first time, and that took the wake away, or by one that has resumed it. If
 * its children have all ended since, nothing else would ever wake it. */
static bool begin_again(struct bw_parking *parking, int64_t run_id, struct bw_slice path, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, due_join);
    const struct bw_wake wake = {.kind = BW_WAKE_CHILD, .at_ms = bw_clock_wall_ms()};
    bool is_due;
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_text(statement, 2, path);
    if (!bw_sql_next(statement, &is_due, err)) return false;
    sqlite3_reset(statement);
    return !is_due || bw_parking_put_wake(parking, run_id, path, &wake, err);
}

static bool wake_parent(struct bw_parking *parking, const struct join *join, int64_t at_ms, struct bw_error *err)
{
    const struct bw_wake wake = {.kind = BW_WAKE_CHILD, .at_ms = at_ms};
    return bw_parking_put_wake(parking, join->run_id, bw_slice_of(join->path), &wake, err) && bw_parking_unpark(parking, join->run_id, err);
}

/* Once more those that failed, then those that had not begun. What succeeded keeps its place and its count. */
static bool reopen(struct bw_parking *parking, struct join *join, const struct bw_join_new *from, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    sqlite3_stmt *row = BW_WRITE(sql, reopen_join);
    struct bw_slice items = from->items, input;
    bool found, more;
    bw_sql_bind_int(row, 1, join->run_id);
    bw_sql_bind_text(row, 2, bw_slice_of(join->path));
    bw_sql_bind_int(row, 3, from->concurrency);
    bw_sql_bind_int(row, 4, from->allowed);
    bw_sql_bind_text(row, 5, from->workflow);
    bw_sql_bind_blob(row, 6, from->version, sizeof from->version);
    bw_sql_bind_int(row, 7, from->needs_events ? 3 : from->needs_event);
    if (!bw_sql_next(row, &found, err)) return false;
    if (!found) return begin_again(parking, join->run_id, bw_slice_of(join->path), err); /* it is open */
    join->id = sqlite3_column_int64(row, 0);
    join->event_id = sqlite3_column_int64(row, 1);
    join->total = sqlite3_column_int64(row, 2);
    join->started = sqlite3_column_int64(row, 3);
    join->succeeded = sqlite3_column_int64(row, 4);
    join->again = sqlite3_column_int64(row, 5);
    if (!bw_sql_next(row, &more, err)) return false;
    if (from->context.len) {
        bw_sql_bind_int(BW_WRITE(sql, set_context), 1, join->id);
        bw_sql_bind_blob(BW_WRITE(sql, set_context), 2, from->context.ptr, from->context.len);
        if (!bw_sql_run(BW_WRITE(sql, set_context), err)) return false;
    }
    if (from->is_call && bw_child_item_next(&items, &input)) {
        bw_sql_bind_int(BW_WRITE(sql, set_input), 1, join->id);
        bw_sql_bind_blob_or_null(BW_WRITE(sql, set_input), 2, input);
        if (!bw_sql_run(BW_WRITE(sql, set_input), err)) return false;
    }
    if (!start(parking, join, err)) return false;
    return alive(join) > 0 || begin_again(parking, join->run_id, bw_slice_of(join->path), err); /* 0: all of them had succeeded */
}

static bool begin(struct bw_parking *parking, int64_t run_id, struct bw_uid run, int64_t event_id, const struct bw_step_row *step,
                  struct bw_slice asks, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    const struct bw_join_new *from = step->join;
    struct join join = {.run_id = run_id,
                        .event_id = event_id,
                        .run = run,
                        .total = from->total,
                        .concurrency = from->concurrency,
                        .allowed = from->allowed,
                        .asks = asks};
    sqlite3_stmt *statement = BW_WRITE(sql, put_join);
    if (step->path.len >= sizeof join.path || from->workflow.len >= sizeof join.workflow || !from->concurrency ||
        (!from->total && !from->is_reopened))
        return bw_error_set(err, "store.refused", "a step that starts runs is malformed");
    memcpy(join.path, step->path.ptr, step->path.len);
    memcpy(join.workflow, from->workflow.ptr, from->workflow.len);
    memcpy(join.version, from->version, sizeof join.version);
    if (from->is_reopened) return reopen(parking, &join, from, err);
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_text(statement, 2, step->path);
    bw_sql_bind_int(statement, 3, event_id);
    bw_sql_bind_int(statement, 4, from->depth);
    bw_sql_bind_int(statement, 5, from->is_call);
    bw_sql_bind_int(statement, 6, from->is_detached);
    bw_sql_bind_int(statement, 7, step->state < BW_STEP_SUCCEEDED);
    bw_sql_bind_int(statement, 8, from->total);
    bw_sql_bind_int(statement, 9, from->concurrency);
    bw_sql_bind_int(statement, 10, from->allowed);
    bw_sql_bind_text(statement, 11, from->workflow);
    bw_sql_bind_blob(statement, 12, from->version, sizeof from->version);
    bw_sql_bind_int(statement, 13, from->needs_events ? 3 : from->needs_event);
    if (!bw_sql_run(statement, err)) return false;
    if (!sqlite3_changes(sqlite3_db_handle(statement))) return begin_again(parking, run_id, step->path, err);
    join.id = sqlite3_last_insert_rowid(sqlite3_db_handle(statement));
    if (from->context.len) {
        bw_sql_bind_int(BW_WRITE(sql, put_context), 1, join.id);
        bw_sql_bind_blob(BW_WRITE(sql, put_context), 2, from->context.ptr, from->context.len);
        if (!bw_sql_run(BW_WRITE(sql, put_context), err)) return false;
    }
    return put_items(parking, join.id, from, err) && start(parking, &join, err);
}

bool bw_children_begin(struct bw_parking *parking, int64_t run_id, struct bw_uid run, int64_t event_id, const struct bw_step_row *step,
                       struct bw_error *err)
{
    struct bw_buf asks = {0};
    if (bw_join_asks(step->join)) bw_asks_append(&asks, &step->join->slot, &step->join->start);
    bool good = asks.failed ? bw_error_set(err, "memory", "out of memory") : begin(parking, run_id, run, event_id, step, bw_buf_slice(&asks), err);
    bw_buf_free(&asks);
    return good;
}

/* ---- ends ---- */

static void copy_text(char *out, size_t capacity, struct bw_slice text)
{
    size_t len = text.len < capacity - 1 ? text.len : capacity - 1;
    memcpy(out, text.ptr, len);
    out[len] = '\0';
}

/* What a counting statement says of the join that it has changed. */
static bool read_join(sqlite3_stmt *row, struct join *join, bool *found, struct bw_error *err)
{
    if (!bw_sql_next(row, found, err)) return false;
    if (!*found) return true;
    *join = (struct join){.id = sqlite3_column_int64(row, 0),
                          .run_id = sqlite3_column_int64(row, 1),
                          .event_id = sqlite3_column_int64(row, 3),
                          .total = sqlite3_column_int64(row, 4),
                          .concurrency = sqlite3_column_int64(row, 5),
                          .allowed = sqlite3_column_int64(row, 6),
                          .started = sqlite3_column_int64(row, 7),
                          .succeeded = sqlite3_column_int64(row, 8),
                          .failed = sqlite3_column_int64(row, 9),
                          .run = bw_sql_column_uid(row, 12),
                          .again = sqlite3_column_int64(row, 13),
                          .again_from = sqlite3_column_int64(row, 14)};
    copy_text(join->path, sizeof join->path, bw_sql_column(row, 2));
    copy_text(join->workflow, sizeof join->workflow, bw_sql_column(row, 10));
    struct bw_slice version = bw_sql_column(row, 11);
    if (version.len == sizeof join->version) memcpy(join->version, version.ptr, version.len);
    bool more;
    return bw_sql_next(row, &more, err); /* a changing statement has changed when it is done */
}

/* After one or more of its children have ended. */
static bool counted(struct bw_parking *parking, struct join *join, int64_t ended_ms, struct bw_error *err)
{
    parking->joined++;
    bool is_over = join->failed > join->allowed;
    if (!is_over && (join->again || join->started < join->total)) return start(parking, join, err);
    return alive(join) > 0 || wake_parent(parking, join, ended_ms, err);
}

bool bw_children_ended(struct bw_parking *parking, int64_t run_id, enum bw_run_state state, int64_t ended_ms, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, count_child);
    struct join join;
    bool found;
    bw_sql_bind_int(row, 1, run_id);
    bw_sql_bind_int(row, 2, state == BW_RUN_FAILED || state == BW_RUN_CANCELLED);
    if (!read_join(row, &join, &found, err)) return false;
    return !found || counted(parking, &join, ended_ms, err);
}

bool bw_children_settle(struct bw_parking *parking, int64_t join_id, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, recount_join);
    struct join join;
    bool found;
    bw_sql_bind_int(row, 1, join_id);
    if (!read_join(row, &join, &found, err)) return false;
    return !found || counted(parking, &join, bw_clock_wall_ms(), err);
}

/* ---- closing ---- */

/* A worker that executes it is to be told; without memory for that it finds out when its results are refused. */
static void note_dropped(struct bw_run_ids *dropped, int64_t run_id)
{
    int64_t *more = dropped ? realloc(dropped->ids, (dropped->count + 1) * sizeof *more) : NULL;
    if (!more) return;
    dropped->ids = more;
    dropped->ids[dropped->count++] = run_id;
}

static bool cancel_run(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    note_dropped(parking->dropped, run_id);
    bw_sql_bind_int(BW_WRITE(parking->sql, cancel_run), 1, run_id);
    bw_sql_bind_int(BW_WRITE(parking->sql, cancel_run), 2, bw_clock_wall_ms());
    return bw_sql_run(BW_WRITE(parking->sql, cancel_run), err) && bw_parking_end_steps(parking, run_id, err) &&
           bw_parking_end(parking, run_id, true, err);
}

/* At most as many as its concurrency, and what those have started in their turn. */
static bool cancel_children(struct bw_parking *parking, int64_t join_id, struct bw_error *err)
{
    sqlite3_stmt *next = BW_WRITE(parking->sql, next_live_child);
    for (int64_t from = 0;;) {
        bool has_row;
        bw_sql_bind_int(next, 1, join_id);
        bw_sql_bind_int(next, 2, from);
        if (!bw_sql_next(next, &has_row, err)) return false;
        if (!has_row) return true;
        int64_t run_id = sqlite3_column_int64(next, 0);
        from = sqlite3_column_int64(next, 1) + 1;
        sqlite3_reset(next);
        if (!cancel_run(parking, run_id, err)) return false;
    }
}

static bool close(struct bw_parking *parking, sqlite3_stmt *statement, bool *found, struct bw_error *err)
{
    bool more;
    if (!bw_sql_next(statement, found, err)) return false;
    if (!*found) return true;
    int64_t join_id = sqlite3_column_int64(statement, 0);
    bool is_idle = sqlite3_column_int(statement, 1);
    if (!bw_sql_next(statement, &more, err)) return false;
    return is_idle || cancel_children(parking, join_id, err);
}

bool bw_children_close_step(struct bw_parking *parking, int64_t run_id, struct bw_slice path, struct bw_error *err)
{
    bool found;
    bw_sql_bind_int(BW_WRITE(parking->sql, close_join), 1, run_id);
    bw_sql_bind_text(BW_WRITE(parking->sql, close_join), 2, path);
    return close(parking, BW_WRITE(parking->sql, close_join), &found, err);
}

bool bw_children_close_run(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    for (bool found = true; found;) {
        bw_sql_bind_int(BW_WRITE(parking->sql, close_any_join), 1, run_id);
        if (!close(parking, BW_WRITE(parking->sql, close_any_join), &found, err)) return false;
    }
    return true;
}
