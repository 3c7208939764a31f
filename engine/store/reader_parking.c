#include "store/approval.h"
#include "store/asks.h"
#include "store/pauses.h"
#include "store/reader_sql.h"
#include "store/run_wait.h"
#include <stdio.h>

bool bw_reader_queue(struct bw_reader *reader, int64_t after, size_t limit, bw_queued_visit *visit, void *arg, size_t *count, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, queue);
    *count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, after);
    bw_sql_bind_int(statement, 2, bw_reader_limit(limit));
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_queued queued = {.id = sqlite3_column_int64(statement, 0),
                                   .run_id = sqlite3_column_int64(statement, 1),
                                   .run = bw_sql_column_uid(statement, 2),
                                   .event_id = sqlite3_column_int64(statement, 3),
                                   .is_child = sqlite3_column_int(statement, 4) != 0,
                                   .needs_event = sqlite3_column_int(statement, 5) != 0,
                                   .revision = (uint32_t)sqlite3_column_int64(statement, 6),
                                   .workflow = bw_sql_column(statement, 7)};
        ++*count;
        if (!visit(arg, &queued)) break;
    }
    sqlite3_reset(statement);
    return true;
}

bool bw_reader_approval(struct bw_reader *reader, struct bw_uid run, struct bw_slice step, struct bw_slice actor, bw_approval_visit *visit, void *arg,
                        bool *found, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, approval);
    bw_reader_begin(reader);
    bw_sql_bind_blob(row, 1, run.bytes, sizeof run.bytes);
    bw_sql_bind_text(row, 2, step);
    bw_sql_bind_text(row, 3, actor);
    if (!bw_sql_next(row, found, err)) return false;
    if (!*found) return true;
    const struct bw_approval approval = {
        .run_state = (enum bw_run_state)sqlite3_column_int(row, 0),
        .is_ending = sqlite3_column_int(row, 1) != 0,
        .step_state = sqlite3_column_int(row, 2),
        .output = bw_sql_column(row, 3),
        .wake = (enum bw_wake_kind)sqlite3_column_int(row, 4),
        .due_ms = sqlite3_column_int64(row, 5),
        .vote = {.choice = bw_sql_column(row, 6), .by = bw_sql_column(row, 7), .at_ms = sqlite3_column_int64(row, 8), .form = bw_sql_column(row, 9)},
        .is_sensitive = sqlite3_column_int(row, 10) != 0,
        .own = {.choice = bw_sql_column(row, 11), .by = actor, .at_ms = sqlite3_column_int64(row, 12), .form = bw_sql_column(row, 13)},
        .tally = bw_sql_column(row, 14),
        .has_voted = sqlite3_column_int(row, 15) != 0};
    visit(arg, &approval);
    sqlite3_reset(row);
    return true;
}

bool bw_reader_pairs(struct bw_reader *reader, bw_pair_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, pairs);
    bw_reader_begin(reader);
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        if (!visit(arg, &(struct bw_wait_pair){bw_sql_column(statement, 0), bw_sql_column(statement, 1)})) break;
    }
    sqlite3_reset(statement);
    return true;
}

bool bw_reader_schedules(struct bw_reader *reader, bw_schedule_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, schedules);
    bw_reader_begin(reader);
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_schedule_row row = {bw_sql_column(statement, 0), bw_sql_column(statement, 1), sqlite3_column_int64(statement, 2)};
        if (!visit(arg, &row)) break;
    }
    sqlite3_reset(statement);
    return true;
}

bool bw_reader_limits(struct bw_reader *reader, bw_limit_visit_row *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, limits);
    bw_reader_begin(reader);
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_limit_row row = {bw_sql_column(statement, 0), bw_sql_column(statement, 1), sqlite3_column_int64(statement, 2),
                                   sqlite3_column_int64(statement, 3)};
        if (!visit(arg, &row)) break;
    }
    sqlite3_reset(statement);
    return true;
}

bool bw_reader_audit(struct bw_reader *reader, struct bw_slice target, bw_audit_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, audit);
    bw_reader_begin(reader);
    bw_sql_bind_text(statement, 1, target);
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_audit_row row = {sqlite3_column_int64(statement, 0), bw_sql_column(statement, 1), bw_sql_column(statement, 2),
                                   bw_sql_column(statement, 3), bw_sql_column(statement, 4)};
        if (!visit(arg, &row)) break;
    }
    sqlite3_reset(statement);
    return true;
}

static bool held_wait(struct bw_reader *reader, int64_t run_id, struct bw_run_wait *wait, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, held_wait);
    bool has_row;
    bw_sql_bind_int(row, 1, run_id);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (!has_row) return true;
    wait->is_held = true;
    wait->paused_ms = sqlite3_column_int64(row, 0);
    struct bw_slice reason = bw_sql_column(row, 1);
    snprintf(wait->reason, sizeof wait->reason, "%.*s", (int)reason.len, reason.len ? reason.ptr : "");
    wait->until_ms = sqlite3_column_int64(row, 2);
    wait->ahead = (uint32_t)sqlite3_column_int64(row, 3);
    sqlite3_reset(row);
    return true;
}

bool bw_reader_run_wait(struct bw_reader *reader, int64_t run_id, struct bw_run_wait *wait, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, run_wait);
    struct bw_asks asks = {.slot = {.most = 0}};
    bool has_row;
    *wait = (struct bw_run_wait){.begins_ms = 0};
    bw_reader_begin(reader);
    bw_sql_bind_int(row, 1, run_id);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (!has_row) return held_wait(reader, run_id, wait, err);
    bool good = bw_asks_read(bw_sql_column(row, 0), &asks, err);
    *wait = (struct bw_run_wait){.begins_ms = sqlite3_column_int64(row, 1),
                                 .count = asks.start.count,
                                 .period_ms = asks.start.period_ms,
                                 .until_ms = sqlite3_column_int64(row, 2),
                                 .most = (uint32_t)sqlite3_column_int64(row, 3),
                                 .held = (uint32_t)sqlite3_column_int64(row, 4),
                                 .ahead = (uint32_t)sqlite3_column_int64(row, 5),
                                 .kept = bw_sql_column_uid(row, 6),
                                 .lender = bw_sql_column_uid(row, 7)};
    sqlite3_reset(row);
    return good;
}

bool bw_reader_unbegun_call(struct bw_reader *reader, int64_t run_id, struct bw_unbegun_call *call, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, unbegun_call);
    bool has_row;
    *call = (struct bw_unbegun_call){.run_id = 0};
    bw_reader_begin(reader);
    bw_sql_bind_int(row, 1, run_id);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (!has_row) return true;
    struct bw_slice path = bw_sql_column(row, 2);
    call->run_id = sqlite3_column_int64(row, 0);
    call->run = bw_sql_column_uid(row, 1);
    snprintf(call->path, sizeof call->path, "%.*s", (int)path.len, path.ptr);
    sqlite3_reset(row);
    return true;
}

bool bw_reader_pauses(struct bw_reader *reader, bw_pause_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, pauses);
    bw_reader_begin(reader);
    for (bool has_row;;) {
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_pause pause = {bw_sql_column(row, 0), bw_sql_column(row, 2), bw_sql_column(row, 3), sqlite3_column_int64(row, 1),
                                 sqlite3_column_int64(row, 4)};
        if (!visit(arg, &pause)) break;
    }
    sqlite3_reset(row);
    return true;
}

static bool count(sqlite3_stmt *row, struct bw_slice workflow, uint64_t *sum, struct bw_error *err)
{
    bool has_row;
    bw_sql_bind_text(row, 1, workflow);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (has_row) *sum += (uint64_t)sqlite3_column_int64(row, 0);
    sqlite3_reset(row);
    return true;
}

bool bw_reader_run_counts(struct bw_reader *reader, struct bw_slice workflow, struct bw_run_counts *counts, struct bw_error *err)
{
    const struct {
        enum bw_run_state state;
        uint64_t *sum;
    } states[] = {{BW_RUN_ACTIVE, &counts->active},
                  {BW_RUN_BLOCKED, &counts->waiting},
                  {BW_RUN_DELAYED, &counts->waiting},
                  {BW_RUN_PARKED, &counts->waiting},
                  {BW_RUN_FAILED, &counts->failed}};
    *counts = (struct bw_run_counts){.held = 0};
    bw_reader_begin(reader);
    if (!count(BW_READ(reader, held_count), workflow, &counts->held, err)) return false;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        bw_sql_bind_int(BW_READ(reader, state_count), 2, states[i].state);
        if (!count(BW_READ(reader, state_count), workflow, states[i].sum, err)) return false;
    }
    return true;
}

bool bw_reader_parked_count(struct bw_reader *reader, uint64_t *count, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, parked_count);
    bool has_row;
    bw_reader_begin(reader);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *count = has_row ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}
