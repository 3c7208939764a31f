#include "store/pausing.h"
#include "base/clock.h"
#include "store/admission.h"
#include "store/parking_step.h"
#include <stdio.h>
#include <stdlib.h>

struct bw_paused {
    char workflow[80];
    bool is_leaving; /* it was resumed, and its held runs are being let go */
};

/* ---- the list ---- */

static bool read_list(struct bw_parking *parking, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, pauses);
    parking->paused_count = 0;
    for (bool has_row;;) {
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) break;
        struct bw_paused *grown = realloc(parking->paused, (parking->paused_count + 1) * sizeof *grown);
        struct bw_slice workflow = bw_sql_column(row, 0);
        if (!grown) {
            sqlite3_reset(row);
            return bw_error_set(err, "memory", "out of memory");
        }
        parking->paused = grown;
        struct bw_paused *paused = &grown[parking->paused_count++];
        snprintf(paused->workflow, sizeof paused->workflow, "%.*s", (int)workflow.len, workflow.ptr);
        paused->is_leaving = sqlite3_column_int(row, 1) != 0;
    }
    parking->is_paused_unsure = false;
    return true;
}

/* NULL: it is not paused. */
static bool find(struct bw_parking *parking, struct bw_slice workflow, const struct bw_paused **found, struct bw_error *err)
{
    *found = NULL;
    if (parking->is_paused_unsure && !read_list(parking, err)) return false;
    for (size_t i = 0; i < parking->paused_count; i++)
        if (bw_slice_is(workflow, parking->paused[i].workflow)) *found = &parking->paused[i];
    return true;
}

bool bw_pausing_open(struct bw_parking *parking, struct bw_error *err)
{
    return read_list(parking, err);
}

void bw_pausing_close(struct bw_parking *parking)
{
    free(parking->paused);
}

bool bw_pausing_is_due(struct bw_parking *parking, bool *is_due, struct bw_error *err)
{
    *is_due = false;
    if (parking->is_paused_unsure && !read_list(parking, err)) return false;
    for (size_t i = 0; i < parking->paused_count; i++) *is_due |= parking->paused[i].is_leaving;
    return true;
}

/* ---- somebody pauses, somebody resumes ---- */

static bool audit(struct bw_parking *parking, const struct bw_store_op *op, struct bw_error *err)
{
    sqlite3_stmt *put = BW_WRITE(parking->sql, put_audit);
    bw_sql_bind_int(put, 1, op->now_ms);
    bw_sql_bind_text(put, 2, op->pause.actor);
    bw_sql_bind_text(put, 3, op->pause.resumes ? BW_SLICE("resume") : BW_SLICE("pause"));
    bw_sql_bind_text(put, 4, op->pause.workflow);
    bw_sql_bind_text_or_null(put, 5, op->pause.reason);
    return bw_sql_run(put, err);
}

static bool write(struct bw_parking *parking, const struct bw_store_op *op, struct bw_error *err)
{
    sqlite3_stmt *put = op->pause.resumes ? BW_WRITE(parking->sql, end_pause) : BW_WRITE(parking->sql, put_pause);
    bw_sql_bind_text(put, 1, op->pause.workflow);
    bw_sql_bind_int(put, 2, op->now_ms);
    if (!op->pause.resumes) {
        bw_sql_bind_text(put, 3, op->pause.actor);
        bw_sql_bind_text_or_null(put, 4, op->pause.reason);
    }
    return bw_sql_run(put, err);
}

bool bw_pausing_apply(struct bw_parking *parking, struct bw_store_op *op, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, find_pause);
    bool has_row;
    op->pause.has_changed = false;
    op->pause.since_ms = 0;
    if (op->pause.workflow.len >= sizeof parking->paused->workflow) return bw_error_set(err, "store.refused", "no workflow has such a long name");
    bw_sql_bind_text(row, 1, op->pause.workflow);
    if (!bw_sql_next(row, &has_row, err)) return false;
    bool is_paused = has_row && !sqlite3_column_int64(row, 1);
    if (is_paused) op->pause.since_ms = sqlite3_column_int64(row, 0);
    sqlite3_reset(row);
    if (is_paused != op->pause.resumes) return true; /* it is so already */
    op->pause.has_changed = true;
    if (!op->pause.resumes) op->pause.since_ms = op->now_ms;
    parking->pauses++;
    parking->is_due_unsure = true;
    return write(parking, op, err) && audit(parking, op, err) && read_list(parking, err);
}

/* ---- holding ---- */

static bool holds(struct bw_parking *parking, sqlite3_stmt *row, int64_t run_id, bool also_leaving, bool *answer, struct bw_error *err)
{
    const struct bw_paused *paused;
    bool has_row;
    *answer = false;
    if (!parking->paused_count && !parking->is_paused_unsure) return true;
    bw_sql_bind_int(row, 1, run_id);
    if (!bw_sql_next(row, &has_row, err)) return false;
    bool good = !has_row || find(parking, bw_sql_column(row, 0), &paused, err);
    *answer = has_row && good && paused && (also_leaving || !paused->is_leaving);
    sqlite3_reset(row);
    return good;
}

bool bw_pausing_holds_new(struct bw_parking *parking, int64_t run_id, bool *answer, struct bw_error *err)
{
    return holds(parking, BW_WRITE(parking->sql, run_workflow), run_id, true, answer, err);
}

bool bw_pausing_holds_admitted(struct bw_parking *parking, int64_t run_id, bool *answer, struct bw_error *err)
{
    return holds(parking, BW_WRITE(parking->sql, run_to_hold), run_id, false, answer, err);
}

bool bw_pausing_hold(struct bw_parking *parking, int64_t run_id, int64_t until_ms, struct bw_error *err)
{
    parking->held++;
    bw_sql_bind_int(BW_WRITE(parking->sql, hold_run), 1, run_id);
    bw_sql_bind_int(BW_WRITE(parking->sql, hold_run), 2, bw_clock_wall_ms());
    return bw_sql_run(BW_WRITE(parking->sql, hold_run), err) && bw_parking_set_timer(parking, run_id, BW_PATH_WITHIN, until_ms, err);
}

/* ---- letting go ---- */

/* *run_id 0: there is none. */
static bool first_held(struct bw_parking *parking, const char *workflow, int64_t *run_id, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, first_held);
    bool has_row;
    bw_sql_bind_text(row, 1, bw_slice_of(workflow));
    if (!bw_sql_next(row, &has_row, err)) return false;
    *run_id = has_row ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    return true;
}

static bool forget(struct bw_parking *parking, const char *workflow, struct bw_error *err)
{
    bw_sql_bind_text(BW_WRITE(parking->sql, delete_pause), 1, bw_slice_of(workflow));
    parking->is_due_unsure = true;
    return bw_sql_run(BW_WRITE(parking->sql, delete_pause), err) && read_list(parking, err);
}

static const struct bw_paused *first_leaving(const struct bw_parking *parking)
{
    for (size_t i = 0; i < parking->paused_count; i++)
        if (parking->paused[i].is_leaving) return &parking->paused[i];
    return NULL;
}

bool bw_pausing_release(struct bw_parking *parking, bool *more, bool *ended, struct bw_error *err)
{
    const struct bw_paused *leaving;
    *more = *ended = false;
    if (parking->is_paused_unsure && !read_list(parking, err)) return false;
    while ((leaving = first_leaving(parking))) {
        int64_t run_id;
        if (!first_held(parking, leaving->workflow, &run_id, err)) return false;
        if (!run_id) {
            *ended = true;
            if (!forget(parking, leaving->workflow, err)) return false;
            continue;
        }
        if ((*more = bw_parking_is_spent(parking))) return true;
        bw_parking_spend(parking);
        parking->released++;
        if (!bw_admission_release(parking, run_id, err)) return false;
    }
    return true;
}
