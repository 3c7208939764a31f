/* What steps wait for, and what a commit tells of it. Who wakes them: waking.c. */
#include "store/parking.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/json.h"
#include "store/admission.h"
#include "store/children.h"
#include "store/collect.h"
#include "store/later.h"
#include "store/pack.h"
#include "store/parking_step.h"
#include "store/pausing.h"
#include "store/slots.h"
#include <stdlib.h>

/* The earliest timer of all, 0 = none. */
static bool read_due(struct bw_parking *parking, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, first_due);
    bool has_row;
    if (!bw_sql_next(statement, &has_row, err)) return false;
    parking->due_ms = has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    int64_t collected_ms;
    if (!bw_collect_next_due(parking, &collected_ms, err)) return false;
    if (collected_ms && (!parking->due_ms || collected_ms < parking->due_ms)) parking->due_ms = collected_ms;
    int64_t later_ms;
    if (!bw_later_next_due(parking, &later_ms, err)) return false;
    if (later_ms && (!parking->due_ms || later_ms < parking->due_ms)) parking->due_ms = later_ms;
    bool is_due;
    if (!bw_pausing_is_due(parking, &is_due, err)) return false;
    if (is_due) parking->due_ms = 1;
    return true;
}

bool bw_parking_open(struct bw_parking *parking, const struct bw_write_statements *sql, struct bw_error *err)
{
    bool has_row;
    parking->sql = sql;
    if (!parking->at_once) parking->at_once = BW_WAKES_AT_ONCE;
    parking->has_collectors = parking->has_later = true; /* the first look tells */
    if (!bw_pausing_open(parking, err) || !read_due(parking, err)) return false;
    parking->committed_due_ms = parking->due_ms;
    if (!bw_sql_next(BW_WRITE(sql, last_queue_id), &has_row, err)) return false;
    parking->last_queue_id = has_row ? sqlite3_column_int64(BW_WRITE(sql, last_queue_id), 0) : 0;
    sqlite3_reset(BW_WRITE(sql, last_queue_id));
    if (!bw_sql_next(BW_WRITE(sql, any_delayed), &parking->has_delayed, err)) return false;
    sqlite3_reset(BW_WRITE(sql, any_delayed));
    if (!bw_slots_open(parking, err)) return false;
    parking->has_wakings = true; /* the first look tells */
    return true;
}

void bw_parking_close(struct bw_parking *parking)
{
    free(parking->watched);
    bw_pausing_close(parking);
    bw_packer_free(parking->unpacker);
}

bool bw_parking_flush(struct bw_parking *parking, struct bw_error *err)
{
    if (parking->is_due_unsure && !read_due(parking, err)) return false;
    if (parking->parked) BW_CRASH_POINT(STORE_BEFORE_PARK);
    if (parking->woken_steps) BW_CRASH_POINT(STORE_BEFORE_WAKE);
    if (parking->started) BW_CRASH_POINT(STORE_BEFORE_CHILDREN);
    if (parking->joined) BW_CRASH_POINT(STORE_BEFORE_JOIN);
    if (parking->letters) BW_CRASH_POINT(STORE_BEFORE_LETTERS);
    if (parking->votes) BW_CRASH_POINT(STORE_BEFORE_VOTE);
    if (parking->admitted) BW_CRASH_POINT(STORE_BEFORE_ADMISSION);
    if (parking->collected) BW_CRASH_POINT(STORE_BEFORE_COLLECT);
    if (parking->flushed) BW_CRASH_POINT(STORE_BEFORE_FLUSH);
    if (parking->caused) BW_CRASH_POINT(STORE_BEFORE_LATER);
    if (parking->pauses) BW_CRASH_POINT(STORE_BEFORE_PAUSE);
    if (parking->held) BW_CRASH_POINT(STORE_BEFORE_HOLD);
    if (parking->released) BW_CRASH_POINT(STORE_BEFORE_RELEASE);
    return true;
}

static void forget_transaction(struct bw_parking *parking)
{
    parking->is_due_unsure = false;
    parking->woken_steps = parking->woken_runs = parking->parked = parking->started = parking->joined = parking->letters = parking->votes =
        parking->admitted = parking->collected = parking->flushed = parking->caused = parking->pauses = parking->held = parking->released = 0;
}

void bw_parking_committed(struct bw_parking *parking)
{
    if (parking->parked) BW_CRASH_POINT(STORE_AFTER_PARK);
    if (parking->woken_steps) BW_CRASH_POINT(STORE_AFTER_WAKE);
    if (parking->started) BW_CRASH_POINT(STORE_AFTER_CHILDREN);
    if (parking->joined) BW_CRASH_POINT(STORE_AFTER_JOIN);
    if (parking->letters) BW_CRASH_POINT(STORE_AFTER_LETTERS);
    if (parking->votes) BW_CRASH_POINT(STORE_AFTER_VOTE);
    if (parking->admitted) BW_CRASH_POINT(STORE_AFTER_ADMISSION);
    if (parking->collected) BW_CRASH_POINT(STORE_AFTER_COLLECT);
    if (parking->flushed) BW_CRASH_POINT(STORE_AFTER_FLUSH);
    if (parking->caused) BW_CRASH_POINT(STORE_AFTER_LATER);
    if (parking->pauses) BW_CRASH_POINT(STORE_AFTER_PAUSE);
    if (parking->held) BW_CRASH_POINT(STORE_AFTER_HOLD);
    if (parking->released) BW_CRASH_POINT(STORE_AFTER_RELEASE);
    if (parking->due_ms && (!parking->committed_due_ms || parking->due_ms < parking->committed_due_ms)) parking->is_due_earlier = true;
    parking->committed_due_ms = parking->due_ms;
    parking->news += parking->woken_runs;
    parking->watched_committed = parking->watched_count;
    forget_transaction(parking);
}

void bw_parking_rolled_back(struct bw_parking *parking)
{
    parking->due_ms = parking->committed_due_ms;
    parking->has_collectors = parking->has_later = true; /* the last one may be there again: the next look tells */
    parking->has_delayed = true;                         /* perhaps there is one again */
    parking->is_paused_unsure = true;
    parking->waking = parking->waiter = 0; /* from the beginning: those who are woken do not wait any more */
    parking->waking_key = 0;
    parking->watched_count = parking->watched_committed;
    forget_transaction(parking);
}

bool bw_parking_watched(struct bw_parking *parking, struct bw_store_wakes *wakes)
{
    if (!parking->watched_committed) return false;
    *wakes =
        (struct bw_store_wakes){.next_due_ms = parking->committed_due_ms, .watched = parking->watched, .watched_count = parking->watched_committed};
    parking->watched_committed = parking->watched_count = 0; /* what `watched` points to stays until the next transaction */
    return true;
}

bool bw_parking_has_news(const struct bw_parking *parking)
{
    return parking->news || parking->is_due_earlier || parking->watched_committed;
}

bool bw_parking_news(struct bw_parking *parking, struct bw_store_wakes *wakes)
{
    if (!bw_parking_has_news(parking)) return false;
    *wakes = (struct bw_store_wakes){
        .woken = parking->news, .next_due_ms = parking->committed_due_ms, .watched = parking->watched, .watched_count = parking->watched_committed};
    parking->news = parking->watched_committed = parking->watched_count = 0; /* what `watched` points to stays until the next transaction */
    parking->is_due_earlier = false;
    return true;
}

/* ---- steps ---- */

bool bw_parking_for_step(sqlite3_stmt *statement, int64_t run_id, struct bw_slice path, struct bw_error *err)
{
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_text(statement, 2, path);
    return bw_sql_run(statement, err);
}

bool bw_parking_stop_waiting(struct bw_parking *parking, int64_t run_id, struct bw_slice path, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    if (!bw_parking_for_step(BW_WRITE(sql, delete_step_timer), run_id, path, err)) return false;
    if (sqlite3_changes(sql->all.db) > 0) parking->is_due_unsure = true;
    return bw_parking_for_step(BW_WRITE(sql, delete_step_waits), run_id, path, err);
}

bool bw_parking_set_timer(struct bw_parking *parking, int64_t run_id, struct bw_slice path, int64_t due_ms, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, put_timer);
    if (!due_ms) return true;
    bw_sql_bind_int(statement, 1, due_ms);
    bw_sql_bind_int(statement, 2, run_id);
    bw_sql_bind_text(statement, 3, path);
    if (!parking->due_ms || due_ms < parking->due_ms) parking->due_ms = due_ms;
    return bw_sql_run(statement, err);
}

/* The event up to which none counts, when those accepted before since_ms do not. */
static bool begin_of(struct bw_parking *parking, const struct bw_wait_arm *arm, int64_t since_ms, int64_t *since_event, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, last_before);
    bool has_row;
    *since_event = arm->since_event;
    if (!since_ms) return true;
    bw_sql_bind_int(statement, 1, (int64_t)arm->key);
    bw_sql_bind_int(statement, 2, arm->since_event);
    bw_sql_bind_int(statement, 3, since_ms);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    int64_t last = has_row ? sqlite3_column_int64(statement, 0) : 0; /* max() of nothing is NULL */
    sqlite3_reset(statement);
    if (last > *since_event) *since_event = last;
    return true;
}

static bool set_waits(struct bw_parking *parking, int64_t run_id, const struct bw_step_row *step, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, put_wait);
    for (size_t i = 0; i < step->arm_count; i++) {
        int64_t since_event;
        if (!begin_of(parking, &step->arms[i], step->since_ms, &since_event, err)) return false;
        bw_sql_bind_int(statement, 1, (int64_t)step->arms[i].key);
        bw_sql_bind_int(statement, 2, run_id);
        bw_sql_bind_text(statement, 3, step->path);
        bw_sql_bind_int(statement, 4, (int64_t)i);
        bw_sql_bind_int(statement, 5, since_event);
        if (!bw_sql_run(statement, err)) return false;
    }
    return true;
}

/* The lowest event that is there already and satisfies an arm; wake->kind NONE = there is none. */
static bool look_back(struct bw_parking *parking, const struct bw_step_row *step, struct bw_wake *wake, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, earliest_event);
    *wake = (struct bw_wake){0};
    for (size_t i = 0; i < step->arm_count; i++) {
        int64_t since_event;
        bool has_row;
        if (!begin_of(parking, &step->arms[i], step->since_ms, &since_event, err)) return false;
        bw_sql_bind_int(statement, 1, (int64_t)step->arms[i].key);
        bw_sql_bind_int(statement, 2, since_event);
        if (!bw_sql_next(statement, &has_row, err)) return false;
        int64_t event_id = has_row ? sqlite3_column_int64(statement, 0) : 0; /* min() of nothing is NULL */
        sqlite3_reset(statement);
        if (event_id && (!wake->event_id || event_id < wake->event_id))
            *wake = (struct bw_wake){.kind = BW_WAKE_EVENT, .arm = (uint32_t)i, .event_id = event_id};
    }
    return !wake->event_id || bw_parking_event_time(parking, wake->event_id, &wake->at_ms, err);
}

bool bw_parking_put_step(struct bw_parking *parking, int64_t run_id, const struct bw_step_row *step, bool *has_live, struct bw_error *err)
{
    struct bw_wake wake;
    if (*has_live && (!bw_parking_stop_waiting(parking, run_id, step->path, err) ||
                      !bw_parking_for_step(BW_WRITE(parking->sql, delete_step_wake), run_id, step->path, err)))
        return false;
    if (step->state >= BW_STEP_SUCCEEDED) return !*has_live || bw_children_close_step(parking, run_id, step->path, err);
    *has_live = true; /* also for a second row of the same step */
    if (!look_back(parking, step, &wake, err)) return false;
    if (wake.kind) return bw_parking_put_wake(parking, run_id, step->path, &wake, err);
    return bw_parking_set_timer(parking, run_id, step->path, step->due_ms, err) && set_waits(parking, run_id, step, err);
}

/* ---- runs ---- */

static bool for_run(sqlite3_stmt *statement, int64_t run_id, struct bw_error *err)
{
    bw_sql_bind_int(statement, 1, run_id);
    return bw_sql_run(statement, err);
}

static bool has_any(sqlite3_stmt *statement, int64_t run_id, bool *has_row, struct bw_error *err)
{
    bw_sql_bind_int(statement, 1, run_id);
    if (!bw_sql_next(statement, has_row, err)) return false;
    sqlite3_reset(statement);
    return true;
}

bool bw_parking_enqueue(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    bw_sql_bind_int(BW_WRITE(sql, put_queue), 1, ++parking->last_queue_id);
    bw_sql_bind_int(BW_WRITE(sql, put_queue), 2, run_id);
    parking->woken_runs++;
    return bw_sql_run(BW_WRITE(sql, put_queue), err);
}

bool bw_parking_unpark(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    if (!for_run(BW_WRITE(sql, unpark_run), run_id, err)) return false;
    if (sqlite3_changes(sql->all.db) == 0) return true; /* it is active: it will see the wake when it wants to park */
    bool may_go;
    return bw_slots_woken(parking, run_id, &may_go, err) && (!may_go || bw_parking_enqueue(parking, run_id, err));
}

bool bw_parking_park(struct bw_parking *parking, int64_t run_id, int64_t deadline_ms, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    bool has_wake, has_source;
    if (!for_run(BW_WRITE(sql, delete_queue), run_id, err) || !has_any(BW_WRITE(sql, has_wake), run_id, &has_wake, err)) return false;
    if (has_wake) return bw_parking_unpark(parking, run_id, err);
    if (!has_any(BW_WRITE(sql, has_source), run_id, &has_source, err)) return false;
    parking->parked++;
    if (has_source) return bw_parking_set_timer(parking, run_id, (struct bw_slice){"", 0}, deadline_ms, err) && bw_slots_parked(parking, run_id, err);
    bw_error_set(err, "store.no_wake", "a run would be parked that no timer and no event can wake");
    bw_error_hint(err, "this is a fault of the program: please report it, with what bellwire runs shows of the run");
    return false;
}

bool bw_parking_settled(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    return bw_parking_for_step(BW_WRITE(parking->sql, delete_step_wake), run_id, (struct bw_slice){"", 0}, err);
}

bool bw_parking_end_steps(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    sqlite3_stmt *uid = BW_WRITE(parking->sql, run_uid), *end = BW_WRITE(parking->sql, end_steps);
    char text[BW_UID_TEXT] = "RUN";
    bool has_row;
    bw_sql_bind_int(uid, 1, run_id);
    if (!bw_sql_next(uid, &has_row, err)) return false;
    if (has_row) bw_uid_text(bw_sql_column_uid(uid, 0), BW_UID_RUN, text);
    sqlite3_reset(uid);
    bw_sql_bind_int(end, 1, run_id);
    bw_sql_bind_int(end, 2, bw_clock_wall_ms());
    bw_sql_bind_text(end, 3, bw_slice_of(text));
    return bw_sql_run(end, err);
}

bool bw_parking_end(struct bw_parking *parking, int64_t run_id, bool has_live, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    if (!for_run(BW_WRITE(sql, delete_queue), run_id, err) || !bw_admission_ended(parking, run_id, err)) return false;
    if (!has_live) return true;
    if (!for_run(BW_WRITE(sql, delete_run_timers), run_id, err)) return false;
    if (sqlite3_changes(sql->all.db) > 0) parking->is_due_unsure = true;
    return for_run(BW_WRITE(sql, delete_run_waits), run_id, err) && for_run(BW_WRITE(sql, delete_run_wakes), run_id, err) &&
           bw_children_close_run(parking, run_id, err);
}

bool bw_parking_refuse(struct bw_parking *parking, int64_t run_id, enum bw_run_state state, const struct bw_error *why, struct bw_slice by,
                       struct bw_error *err)
{
    sqlite3_stmt *end = BW_WRITE(parking->sql, end_blocked_run);
    struct bw_buf error = {0};
    int64_t now_ms = bw_clock_wall_ms();
    bw_json_append_error(&error, why, "permanent", by);
    bw_sql_bind_int(end, 1, run_id);
    bw_sql_bind_int(end, 2, state);
    bw_sql_bind_int(end, 3, now_ms);
    bw_sql_bind_text(end, 4, bw_buf_slice(&error));
    bool good = error.failed ? bw_error_set(err, "memory", "out of memory") : bw_sql_run(end, err);
    bw_buf_free(&error);
    return good && bw_parking_end_steps(parking, run_id, err) && bw_parking_end(parking, run_id, true, err) &&
           bw_children_ended(parking, run_id, state, now_ms, err);
}
