#include "store/collect.h"
#include "base/clock.h"
#include "store/admission.h"
#include "store/asks.h"
#include "store/parking_step.h"
#include "store/pausing.h"
#include <string.h>

struct collector {
    int64_t id; /* 0: there is none yet */
    int64_t first_ms, count, bytes;
};

/* ---- an event comes in ---- */

static bool is_collected(struct bw_parking *parking, int64_t event_id, struct bw_slice workflow, bool *answer, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, is_collected);
    bw_sql_bind_int(statement, 1, event_id);
    bw_sql_bind_text(statement, 2, workflow);
    if (!bw_sql_next(statement, answer, err)) return false;
    sqlite3_reset(statement);
    return true;
}

static bool find(struct bw_parking *parking, const uint8_t group[BW_SLOT_GROUP_BYTES], struct collector *found, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, find_collector);
    bool has_row;
    *found = (struct collector){.id = 0};
    bw_sql_bind_blob(statement, 1, group, BW_SLOT_GROUP_BYTES);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (!has_row) return true;
    *found = (struct collector){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1), sqlite3_column_int64(statement, 2),
                                sqlite3_column_int64(statement, 3)};
    sqlite3_reset(statement);
    return true;
}

static bool size_of(struct bw_parking *parking, int64_t event_id, int64_t *bytes, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, event_bytes);
    bool has_row;
    bw_sql_bind_int(statement, 1, event_id);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *bytes = has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}

/* No event comes in any more, and its run is made at the next opportunity. */
static bool fill(struct bw_parking *parking, int64_t collector_id, int64_t now_ms, struct bw_error *err)
{
    bw_sql_bind_int(BW_WRITE(parking->sql, fill_collector), 1, collector_id);
    bw_sql_bind_int(BW_WRITE(parking->sql, fill_collector), 2, now_ms);
    return bw_sql_run(BW_WRITE(parking->sql, fill_collector), err);
}

static bool put(struct bw_parking *parking, struct collector *collector, const struct bw_run_row *run, int64_t due_ms, int64_t now_ms,
                struct bw_error *err)
{
    sqlite3_stmt *statement = collector->id ? BW_WRITE(parking->sql, update_collector) : BW_WRITE(parking->sql, insert_collector);
    struct bw_buf asks = {0};
    bw_asks_append(&asks, &run->slot, &run->start);
    bw_sql_bind_blob(statement, 1, run->version, sizeof run->version);
    bw_sql_bind_int(statement, 2, due_ms);
    bw_sql_bind_int(statement, 3, now_ms);
    bw_sql_bind_int(statement, 4, collector->count);
    bw_sql_bind_int(statement, 5, collector->bytes);
    bw_sql_bind_text_or_null(statement, 6, bw_buf_slice(&asks));
    if (collector->id) {
        bw_sql_bind_int(statement, 7, collector->id);
    } else {
        bw_sql_bind_text(statement, 7, run->workflow);
        bw_sql_bind_blob(statement, 8, run->collect.group, sizeof run->collect.group);
    }
    bool good = asks.failed ? bw_error_set(err, "memory", "out of memory") : bw_sql_run(statement, err);
    bw_buf_free(&asks);
    if (good && !collector->id) collector->id = sqlite3_last_insert_rowid(sqlite3_db_handle(statement));
    return good;
}

static int64_t due_of(const struct bw_collect_new *collect, int64_t first_ms, int64_t now_ms)
{
    int64_t quiet_ms = collect->quiet_ms ? now_ms + collect->quiet_ms : INT64_MAX;
    int64_t most_ms = collect->max_wait_ms ? first_ms + collect->max_wait_ms : INT64_MAX;
    return quiet_ms < most_ms ? quiet_ms : most_ms;
}

bool bw_collect_add(struct bw_parking *parking, int64_t event_id, const struct bw_run_row *run, struct bw_error *err)
{
    struct collector collector;
    bool is_known;
    int64_t bytes, now_ms = bw_clock_wall_ms();
    if (!is_collected(parking, event_id, run->workflow, &is_known, err)) return false;
    if (is_known) return true; /* said before a crash */
    parking->has_collectors = parking->is_due_unsure = true;
    parking->collected++;
    if (!find(parking, run->collect.group, &collector, err) || !size_of(parking, event_id, &bytes, err)) return false;
    if (collector.id && collector.bytes + bytes > BW_COLLECT_BYTES_MAX) {
        if (!fill(parking, collector.id, now_ms, err)) return false;
        collector.id = 0;
    }
    if (!collector.id) collector = (struct collector){.first_ms = now_ms};
    collector.count++;
    collector.bytes += bytes;
    if (!put(parking, &collector, run, due_of(&run->collect, collector.first_ms, now_ms), now_ms, err)) return false;
    bw_sql_bind_int(BW_WRITE(parking->sql, put_collected), 1, collector.id);
    bw_sql_bind_int(BW_WRITE(parking->sql, put_collected), 2, event_id);
    if (!bw_sql_run(BW_WRITE(parking->sql, put_collected), err)) return false;
    return collector.count < run->collect.max_events || fill(parking, collector.id, now_ms, err);
}

/* ---- its time has come ---- */

struct due {
    int64_t id, due_ms; /* id 0: there is none */
    int64_t event_id;   /* the last one; 0: it has none */
    char workflow[80];
    struct bw_run_row run;
};

static bool first_due(struct bw_parking *parking, struct due *due, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, first_collector);
    struct bw_asks asks;
    bool has_row;
    due->id = 0;
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (!has_row) return true;
    struct bw_slice workflow = bw_sql_column(row, 2), version = bw_sql_column(row, 3);
    bool good = bw_asks_read(bw_sql_column(row, 4), &asks, err);
    *due = (struct due){.id = sqlite3_column_int64(row, 0),
                        .due_ms = sqlite3_column_int64(row, 1),
                        .event_id = sqlite3_column_int64(row, 5),
                        .run = {.state = BW_RUN_ACTIVE, .slot = asks.slot, .start = asks.start}};
    if (workflow.len < sizeof due->workflow && workflow.len) memcpy(due->workflow, workflow.ptr, workflow.len);
    if (version.len == sizeof due->run.version) memcpy(due->run.version, version.ptr, version.len);
    if (bw_sql_column(row, 4).len) due->run.state = BW_RUN_BLOCKED;
    due->run.workflow = bw_slice_of(due->workflow);
    sqlite3_reset(row);
    return good;
}

static bool event_uid(struct bw_parking *parking, int64_t event_id, struct bw_uid *uid, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, event_uid);
    bool has_row;
    bw_sql_bind_int(statement, 1, event_id);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (!has_row) return bw_error_set(err, "store.refused", "an event that was collected is gone");
    *uid = bw_sql_column_uid(statement, 0);
    sqlite3_reset(statement);
    return true;
}

/* The version of now, if it still collects. Else the one that the events were collected under: with another one all but the last would be lost. */
static uint32_t choose_version(const struct bw_store_op *wake, struct bw_run_row *run)
{
    for (size_t i = 0; i < wake->collect_count; i++) {
        if (!bw_slice_equal(wake->collects[i].workflow, run->workflow)) continue;
        memcpy(run->version, wake->collects[i].version, sizeof run->version);
        return wake->collect_revision;
    }
    return 0; /* that of its event */
}

static bool insert(struct bw_parking *parking, const struct due *due, uint32_t revision, bool *is_new, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, insert_collected_run);
    const struct bw_run_row *run = &due->run;
    struct bw_buf asks = {0};
    bw_asks_append(&asks, &run->slot, &run->start);
    bw_sql_bind_blob(statement, 1, run->uid.bytes, sizeof run->uid.bytes);
    bw_sql_bind_int(statement, 2, due->event_id);
    bw_sql_bind_text(statement, 3, run->workflow);
    bw_sql_bind_blob(statement, 4, run->version, sizeof run->version);
    bw_sql_bind_int(statement, 5, run->state);
    bw_sql_bind_int(statement, 6, run->started_ms);
    bw_sql_bind_int(statement, 7, revision);
    bw_sql_bind_text_or_null(statement, 8, bw_buf_slice(&asks));
    bw_sql_bind_int(statement, 9, due->id);
    bool good = asks.failed ? bw_error_set(err, "memory", "out of memory") : bw_sql_run(statement, err);
    bw_buf_free(&asks);
    *is_new = good && sqlite3_changes(sqlite3_db_handle(statement)) > 0;
    return good;
}

static bool forget(struct bw_parking *parking, int64_t collector_id, struct bw_error *err)
{
    bw_sql_bind_int(BW_WRITE(parking->sql, delete_collector), 1, collector_id);
    return bw_sql_run(BW_WRITE(parking->sql, delete_collector), err);
}

static bool flush(struct bw_parking *parking, const struct bw_store_op *wake, struct due *due, struct bw_error *err)
{
    struct bw_run_row *run = &due->run;
    struct bw_uid event;
    bool is_new;
    parking->flushed++;
    if (!due->event_id) return forget(parking, due->id, err);
    bw_sql_bind_int(BW_WRITE(parking->sql, close_collector), 1, due->id);
    if (!bw_sql_run(BW_WRITE(parking->sql, close_collector), err) || !event_uid(parking, due->event_id, &event, err)) return false;
    uint32_t revision = choose_version(wake, run);
    run->started_ms = bw_clock_wall_ms();
    if (run->start.ready_ms) run->start.ready_ms += run->started_ms;
    if (run->start.until_ms) run->start.until_ms += run->started_ms;
    run->uid = bw_uid_of_run(event, run->workflow);
    if (!insert(parking, due, revision, &is_new, err)) return false;
    if (!is_new) { /* a worker died over this event too often, and that is the run of that name */
        run->uid = bw_uid_new(run->started_ms);
        if (!insert(parking, due, revision, &is_new, err)) return false;
    }
    int64_t run_id = sqlite3_last_insert_rowid(parking->sql->all.db);
    bool is_held;
    if (!bw_pausing_holds_new(parking, run_id, &is_held, err)) return false;
    if (run->state != BW_RUN_BLOCKED && !is_held) return bw_parking_enqueue(parking, run_id, err);
    return bw_admission_decide(parking, &(struct bw_admitted){.id = run_id, .event_id = due->event_id, .asks = {run->slot, run->start}}, err);
}

bool bw_collect_fire(struct bw_parking *parking, const struct bw_store_op *wake, bool *more, struct bw_error *err)
{
    struct due due;
    *more = false;
    while (parking->has_collectors) {
        if (!first_due(parking, &due, err)) return false;
        if (!due.id || due.due_ms > wake->now_ms) break;
        parking->is_due_unsure = true;
        if ((*more = bw_parking_is_spent(parking))) break;
        bw_parking_spend(parking);
        if (!flush(parking, wake, &due, err)) return false;
    }
    return true;
}

bool bw_collect_next_due(struct bw_parking *parking, int64_t *due_ms, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, collector_due);
    bool has_row;
    *due_ms = 0;
    if (!parking->has_collectors) return true;
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (!has_row) return !(parking->has_collectors = false);
    *due_ms = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return true;
}

bool bw_collect_repair(struct bw_parking *parking, int64_t collector_id, struct bw_error *err)
{
    parking->has_collectors = parking->is_due_unsure = true;
    return fill(parking, collector_id, bw_clock_wall_ms(), err); /* one without events goes then */
}
