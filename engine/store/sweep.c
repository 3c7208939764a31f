#include "store/sweep.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/admission.h"
#include "store/children.h"
#include "store/collect.h"
#include "store/parking_step.h"
#include "store/slots.h"
#include "store/writer.h"

#define MINUTE_US (60 * 1000000LL)
#define SLICES_A_MINUTE 100 /* 20,000 rows: a tenth of a second */
#define BUSY_EVERY_US 500000
#define REPAIRS "repairs"

enum fault { /* as the statements number them */
             FAULT_NONE = 0,
             FAULT_PARKED_WITH_WAKE = 1,
             FAULT_PARKED_FOR_EVER = 2,
             FAULT_ACTIVE_UNOWNED = 3,
             FAULT_LEFT_BEHIND = 4,
             FAULT_QUEUED_BUT_PARKED = 5,
             FAULT_JOIN_WITHOUT_PARENT = 6,
             FAULT_JOIN_UNTOLD = 7,
             FAULT_SLOT_FREE = 8,
             FAULT_DELAYED_FOR_EVER = 9,
             FAULT_BLOCKED_FOR_EVER = 10,
             FAULT_COLLECTED_FOR_EVER = 11,
             FAULT_MISCOUNTED = 12,
             FAULT_HELD_FOR_EVER = 13,
};
static const char *const names[] = {
    [FAULT_NONE] = "",
    [FAULT_PARKED_WITH_WAKE] = "a parked run has been woken and is not in the queue",
    [FAULT_PARKED_FOR_EVER] = "a parked run has nothing that could wake it",
    [FAULT_ACTIVE_UNOWNED] = "an active run is not in the queue and its event is done",
    [FAULT_LEFT_BEHIND] = "a run that has ended, or is gone, left a timer, a wait, a wake or a place in the queue",
    [FAULT_QUEUED_BUT_PARKED] = "a run that is not active is in the queue",
    [FAULT_JOIN_WITHOUT_PARENT] = "a step whose run has ended, or is gone, still has children to come",
    [FAULT_JOIN_UNTOLD] = "the children of a step have ended, and it has not been told",
    [FAULT_SLOT_FREE] = "a slot is free, and a run waits for it",
    [FAULT_DELAYED_FOR_EVER] = "a delayed run has no timer, and nobody before it has one",
    [FAULT_BLOCKED_FOR_EVER] = "a blocked run does not wait for a slot",
    [FAULT_COLLECTED_FOR_EVER] = "events were collected, and there is neither a time for their run nor the run",
    [FAULT_MISCOUNTED] = "a collector has not as many events as it has counted",
    [FAULT_HELD_FOR_EVER] = "a run is held, and its workflow is not paused",
};
struct finding {
    int64_t id, run_id;
    enum fault fault;
};

static sqlite3_stmt *statement_of(const struct bw_write_statements *sql, size_t check)
{
    sqlite3_stmt *const checks[] = {BW_WRITE(sql, sweep_parked),  BW_WRITE(sql, sweep_active), BW_WRITE(sql, sweep_timers),
                                    BW_WRITE(sql, sweep_waits),   BW_WRITE(sql, sweep_wakes),  BW_WRITE(sql, sweep_queue),
                                    BW_WRITE(sql, sweep_joins),   BW_WRITE(sql, sweep_slots),  BW_WRITE(sql, sweep_delayed),
                                    BW_WRITE(sql, sweep_blocked), BW_WRITE(sql, sweep_held),   BW_WRITE(sql, sweep_collectors)};
    _Static_assert(sizeof checks / sizeof *checks == BW_SWEEP_CHECKS, "a pass has so many");
    return checks[check];
}

bool bw_sweep_open(struct bw_writer *writer, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, get_meta);
    bool has_row;
    bw_sql_bind_text(statement, 1, (struct bw_slice)BW_SLICE(REPAIRS));
    if (!bw_sql_next(statement, &has_row, err)) return false;
    writer->sweep.repairs = has_row ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}

int64_t bw_sweep_wait_us(const struct bw_sweep *sweep, bool is_idle)
{
    int64_t now_us = bw_clock_mono_us(), due_us = sweep->next_pass_us;
    if (!is_idle && sweep->next_slice_us > due_us) due_us = sweep->next_slice_us;
    return due_us > now_us ? due_us - now_us : 0;
}

static bool repair(struct bw_writer *writer, const struct finding *finding, struct bw_error *err)
{
    struct bw_parking *parking = &writer->parking;
    switch (finding->fault) {
    case FAULT_NONE: return true;
    case FAULT_PARKED_FOR_EVER: /* waiting for longer would help nobody: a sleep ends, a wait has timed out, a step is tried again */
        bw_sql_bind_int(BW_WRITE(&writer->sql, wake_all_steps), 1, finding->run_id);
        bw_sql_bind_int(BW_WRITE(&writer->sql, wake_all_steps), 2, bw_clock_wall_ms());
        if (!bw_sql_run(BW_WRITE(&writer->sql, wake_all_steps), err)) return false;
        return bw_parking_unpark(parking, finding->run_id, err);
    case FAULT_PARKED_WITH_WAKE: return bw_parking_unpark(parking, finding->run_id, err);
    case FAULT_ACTIVE_UNOWNED: return bw_parking_enqueue(parking, finding->run_id, err);
    case FAULT_LEFT_BEHIND:
    case FAULT_JOIN_WITHOUT_PARENT: return bw_parking_end(parking, finding->run_id, true, err);
    case FAULT_QUEUED_BUT_PARKED:
        bw_sql_bind_int(BW_WRITE(&writer->sql, delete_queue), 1, finding->run_id);
        return bw_sql_run(BW_WRITE(&writer->sql, delete_queue), err);
    case FAULT_SLOT_FREE: return bw_slots_settle(parking, finding->run_id, err);
    case FAULT_DELAYED_FOR_EVER:
    case FAULT_BLOCKED_FOR_EVER:
    case FAULT_HELD_FOR_EVER: return bw_admission_repair(parking, finding->run_id, err);
    case FAULT_COLLECTED_FOR_EVER:
    case FAULT_MISCOUNTED: return bw_collect_repair(parking, finding->id, err);
    case FAULT_JOIN_UNTOLD: return bw_children_settle(parking, finding->id, err);
    }
    return true;
}

static bool write_repairs(struct bw_writer *writer, const struct finding *findings, size_t count, struct bw_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!repair(writer, &findings[i], err)) return false;
    bw_sql_bind_text(BW_WRITE(&writer->sql, set_meta), 1, (struct bw_slice)BW_SLICE(REPAIRS));
    bw_sql_bind_int(BW_WRITE(&writer->sql, set_meta), 2, (int64_t)(writer->sweep.repairs + count));
    return bw_sql_run(BW_WRITE(&writer->sql, set_meta), err);
}

static void report(struct bw_writer *writer, const struct finding *finding)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, run_uid);
    char run[BW_UID_TEXT] = "gone";
    bool has_row;
    bw_sql_bind_int(statement, 1, finding->run_id);
    if (bw_sql_next(statement, &has_row, NULL)) {
        if (has_row) bw_uid_text(bw_sql_column_uid(statement, 0), BW_UID_RUN, run);
        sqlite3_reset(statement);
    }
    bw_log(BW_LOG_ERROR, "store.repaired", BW_STR("message", names[finding->fault]), BW_STR("run", run), BW_INT("row", finding->id),
           BW_STR("hint", "this is a fault of the program: please report it, with what bellwire runs shows of the run"));
}

static bool commit_repairs(struct bw_writer *writer, const struct finding *findings, size_t count, struct bw_error *err)
{
    if (!bw_sql_run(BW_WRITE(&writer->sql, begin), err)) return false;
    if (write_repairs(writer, findings, count, err) && bw_parking_flush(&writer->parking, err) && bw_sql_run(BW_WRITE(&writer->sql, commit), err)) {
        bw_parking_committed(&writer->parking);
        writer->sweep.repairs += count;
        for (size_t i = 0; i < count; i++) report(writer, &findings[i]);
        return true;
    }
    if (!sqlite3_get_autocommit(writer->db)) bw_sql_run(BW_WRITE(&writer->sql, rollback), NULL);
    bw_parking_rolled_back(&writer->parking);
    return false;
}

/* *seen: rows looked at. */
static bool look(struct bw_writer *writer, struct finding *findings, size_t *count, size_t *seen, struct bw_error *err)
{
    struct bw_sweep *sweep = &writer->sweep;
    sqlite3_stmt *statement = statement_of(&writer->sql, sweep->check);
    *count = *seen = 0;
    bw_sql_bind_int(statement, 1, sweep->cursor);
    bw_sql_bind_int(statement, 2, BW_SWEEP_ROWS);
    for (bool has_row;; ++*seen) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        sweep->cursor = sqlite3_column_int64(statement, 0);
        int fault = sqlite3_column_int(statement, 1);
        if (fault) findings[(*count)++] = (struct finding){sweep->cursor, sqlite3_column_int64(statement, 2), (enum fault)fault};
    }
}

static void go_on(struct bw_sweep *sweep, size_t seen)
{
    int64_t now_us = bw_clock_mono_us();
    sweep->next_slice_us = now_us + BUSY_EVERY_US;
    sweep->slices++;
    bool is_over = false;
    if (seen < BW_SWEEP_ROWS) {
        sweep->cursor = 0;
        is_over = ++sweep->check == BW_SWEEP_CHECKS;
        if (is_over) sweep->check = 0;
    }
    if (!is_over && sweep->slices < SLICES_A_MINUTE) return;
    sweep->slices = 0;
    sweep->next_pass_us = now_us + MINUTE_US;
}

bool bw_sweep_slice(struct bw_writer *writer, struct bw_error *err)
{
    struct finding findings[BW_SWEEP_ROWS];
    size_t count, seen;
    int64_t from = writer->sweep.cursor;
    if (look(writer, findings, &count, &seen, err) && (!count || commit_repairs(writer, findings, count, err))) {
        go_on(&writer->sweep, seen);
        return true;
    }
    writer->sweep.cursor = from;
    writer->sweep.next_pass_us = bw_clock_mono_us() + MINUTE_US;
    return false;
}
