/* Who wakes steps: events, timers, and the rest of an event that very many wait for. */
#include "base/clock.h"
#include "store/admission.h"
#include "store/parking_step.h"
#include "wire/messages.h"
#include <stdlib.h>

#define WORK_US 20000

/* Without memory nobody is told: then it is found when the run wants to park. */
bool bw_parking_note_watched(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, run_of_id);
    bool has_row;
    if (parking->watched_count == parking->watched_capacity) {
        size_t capacity = parking->watched_capacity ? parking->watched_capacity * 2 : 16;
        struct bw_watched *grown = realloc(parking->watched, capacity * sizeof *grown);
        if (!grown) return true;
        parking->watched = grown;
        parking->watched_capacity = capacity;
    }
    bw_sql_bind_int(statement, 1, run_id);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (has_row)
        parking->watched[parking->watched_count++] =
            (struct bw_watched){.run_id = run_id, .run = bw_sql_column_uid(statement, 0), .event_id = sqlite3_column_int64(statement, 1)};
    sqlite3_reset(statement);
    return true;
}

bool bw_parking_put_wake(struct bw_parking *parking, int64_t run_id, struct bw_slice path, const struct bw_wake *wake, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, put_wake);
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_text(statement, 2, path);
    bw_sql_bind_int(statement, 3, wake->kind);
    bw_sql_bind_int(statement, 4, wake->arm);
    if (wake->event_id)
        bw_sql_bind_int(statement, 5, wake->event_id);
    else
        sqlite3_bind_null(statement, 5);
    bw_sql_bind_int(statement, 6, wake->at_ms);
    return bw_sql_run(statement, err) && (!bw_slice_is(path, BW_CANCEL_ON_PATH) || bw_parking_note_watched(parking, run_id, err));
}

bool bw_parking_event_time(struct bw_parking *parking, int64_t event_id, int64_t *at_ms, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, event_time);
    bool has_row;
    bw_sql_bind_int(statement, 1, event_id);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *at_ms = has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}

/* Never before the first: each transaction makes some progress. */
bool bw_parking_is_spent(const struct bw_parking *parking)
{
    return parking->woken_steps >= parking->at_once || (parking->woken_steps && bw_clock_mono_us() >= parking->until_us);
}

void bw_parking_spend(struct bw_parking *parking)
{
    if (!parking->woken_steps++) parking->until_us = bw_clock_mono_us() + WORK_US;
}

/* With this wake, unless the step waits for events and an earlier one has come: its turn would only have been later. */
static bool wake_step(struct bw_parking *parking, int64_t run_id, struct bw_slice path, struct bw_wake wake, struct bw_error *err)
{
    sqlite3_stmt *earliest = BW_WRITE(parking->sql, earliest_of_step);
    bool has_row;
    bw_sql_bind_int(earliest, 1, run_id);
    bw_sql_bind_text(earliest, 2, path);
    if (!bw_sql_next(earliest, &has_row, err)) return false;
    if (has_row) {
        wake = (struct bw_wake){
            .kind = BW_WAKE_EVENT, .event_id = sqlite3_column_int64(earliest, 0), .arm = (uint32_t)sqlite3_column_int64(earliest, 1)};
        sqlite3_reset(earliest);
        if (!bw_parking_event_time(parking, wake.event_id, &wake.at_ms, err)) return false;
    }
    bw_parking_spend(parking);
    return bw_parking_put_wake(parking, run_id, path, &wake, err) && bw_parking_stop_waiting(parking, run_id, path, err) &&
           bw_parking_unpark(parking, run_id, err);
}

/* Those who wait for this key of the event, from run *waiter on. *all false: this transaction has no room for more; *waiter is where to go on. */
static bool wake_waiters(struct bw_parking *parking, int64_t key, int64_t event_id, int64_t *waiter, bool *all, struct bw_error *err)
{
    sqlite3_stmt *next = BW_WRITE(parking->sql, next_waiter);
    for (;;) {
        bw_sql_bind_int(next, 1, key);
        bw_sql_bind_int(next, 2, *waiter);
        bw_sql_bind_int(next, 3, event_id);
        bool has_row, ok;
        if (!bw_sql_next(next, &has_row, err)) return false;
        *all = !has_row;
        if (*all) return true;
        *waiter = sqlite3_column_int64(next, 0);
        bool has_room = !bw_parking_is_spent(parking);
        ok = !has_room || wake_step(parking, *waiter, bw_sql_column(next, 1), (struct bw_wake){.kind = BW_WAKE_EVENT, .event_id = event_id}, err);
        sqlite3_reset(next);
        if (!ok || !has_room) return ok;
    }
}

bool bw_parking_accepted(struct bw_parking *parking, int64_t event_id, const struct bw_event_new *event, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    bool all = true;
    if (event->key_count > BW_EVENT_KEYS_MAX)
        return bw_error_set(err, "store.too_many_keys", "an event has %zu keys, at most %d are kept", event->key_count, BW_EVENT_KEYS_MAX);
    for (size_t i = 0; i < event->key_count; i++) { /* all before the first is woken: the lowest arm wins */
        bw_sql_bind_int(BW_WRITE(sql, put_event_key), 1, (int64_t)event->keys[i]);
        bw_sql_bind_int(BW_WRITE(sql, put_event_key), 2, event_id);
        if (!bw_sql_run(BW_WRITE(sql, put_event_key), err)) return false;
    }
    for (size_t i = 0; all && i < event->key_count; i++) {
        int64_t waiter = 0;
        if (!wake_waiters(parking, (int64_t)event->keys[i], event_id, &waiter, &all, err)) return false;
    }
    if (all) return true;
    parking->has_wakings = true;
    bw_sql_bind_int(BW_WRITE(sql, put_waking), 1, event_id);
    return bw_sql_run(BW_WRITE(sql, put_waking), err);
}

static bool fire(struct bw_parking *parking, int64_t run_id, struct bw_slice path, int64_t now_ms, struct bw_error *err)
{
    if (!bw_admission_owns(path)) return wake_step(parking, run_id, path, (struct bw_wake){.kind = BW_WAKE_TIMER, .at_ms = now_ms}, err);
    bw_parking_spend(parking);
    return bw_admission_fire(parking, run_id, path, now_ms, err);
}

bool bw_parking_fire(struct bw_parking *parking, int64_t now_ms, bool *more, struct bw_error *err)
{
    sqlite3_stmt *first = BW_WRITE(parking->sql, first_due);
    for (;;) {
        bool has_row, ok;
        if (!bw_sql_next(first, &has_row, err)) return false;
        bool is_due = has_row && sqlite3_column_int64(first, 0) <= now_ms;
        *more = is_due && bw_parking_is_spent(parking);
        ok = !is_due || *more || fire(parking, sqlite3_column_int64(first, 1), bw_sql_column(first, 2), now_ms, err);
        sqlite3_reset(first);
        if (!ok || !is_due || *more) return ok;
    }
}

/* One that is active gets the wake, too: it may be about to park. */
bool bw_parking_cancel(struct bw_parking *parking, int64_t run_id, int64_t now_ms, struct bw_error *err)
{
    const struct bw_wake wake = {.kind = BW_WAKE_CANCEL, .at_ms = now_ms};
    parking->woken_steps++;
    return bw_parking_put_wake(parking, run_id, (struct bw_slice){"", 0}, &wake, err) && bw_parking_unpark(parking, run_id, err);
}

static bool begin_waking(struct bw_parking *parking, struct bw_error *err)
{
    sqlite3_stmt *first = BW_WRITE(parking->sql, first_waking);
    bool has_row;
    if (!bw_sql_next(first, &has_row, err)) return false;
    parking->waking = has_row ? sqlite3_column_int64(first, 0) : 0;
    parking->waiter = 0;
    parking->waking_key = 0;
    parking->has_wakings = has_row;
    sqlite3_reset(first);
    return true;
}

static bool read_keys(struct bw_parking *parking, int64_t event_id, int64_t keys[BW_EVENT_KEYS_MAX], size_t *count, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, keys_of_event);
    bw_sql_bind_int(statement, 1, event_id);
    *count = 0;
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        if (*count < BW_EVENT_KEYS_MAX) keys[(*count)++] = sqlite3_column_int64(statement, 0);
    }
}

bool bw_parking_go_on(struct bw_parking *parking, struct bw_error *err)
{
    int64_t keys[BW_EVENT_KEYS_MAX];
    size_t count;
    if (!parking->waking && !begin_waking(parking, err)) return false;
    if (!parking->waking) return true;
    if (!read_keys(parking, parking->waking, keys, &count, err)) return false;
    while (parking->waking_key < count) {
        bool all;
        if (!wake_waiters(parking, keys[parking->waking_key], parking->waking, &parking->waiter, &all, err)) return false;
        if (!all) return true;
        parking->waking_key++;
        parking->waiter = 0;
    }
    bw_sql_bind_int(BW_WRITE(parking->sql, delete_waking), 1, parking->waking);
    parking->waking = 0;
    return bw_sql_run(BW_WRITE(parking->sql, delete_waking), err);
}
