/* Steps with `guarantee: at_most_once` of which nobody knows whether they have had their effect: until somebody says so the run stays where it is. */
#include "store/letters_apply.h"
#include <stdio.h>

bool bw_letter_refuse_unknown(struct bw_letter *letter, struct bw_uid owner, struct bw_slice path)
{
    char message[240], hint[240], run[BW_UID_TEXT];
    bool is_own = bw_uid_equal(owner, letter->run);
    int shown = path.len > 80 ? 80 : (int)path.len;
    bw_uid_text(owner, BW_UID_RUN, run);
    snprintf(message, sizeof message, "nobody knows whether the step %.*s%s%s has had its effect", shown, path.ptr, is_own ? "" : " of ",
             is_own ? "" : run);
    snprintf(hint, sizeof hint, "say it: bellwire runs resolve %s --step %.*s --succeeded | --failed | --retry", run, shown, path.ptr);
    return bw_letter_refuse(letter, "step.unresolved", message, hint);
}

bool bw_letter_check_unknown(struct bw_parking *parking, struct bw_letter *letter, int64_t run_id, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, unknown_step);
    bool has_row;
    bw_sql_bind_int(row, 1, run_id);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (!has_row) return true;
    bw_letter_refuse_unknown(letter, bw_sql_column_uid(row, 0), bw_sql_column(row, 1));
    sqlite3_reset(row);
    return true;
}

bool bw_letter_step_state(struct bw_parking *parking, int64_t run_id, struct bw_slice path, int *state, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, step_state);
    bool has_row;
    bw_sql_bind_int(row, 1, run_id);
    bw_sql_bind_text(row, 2, path);
    if (!bw_sql_next(row, &has_row, err)) return false;
    *state = has_row ? sqlite3_column_int(row, 0) : 0;
    sqlite3_reset(row);
    return true;
}

bool bw_letter_resolve(struct bw_parking *parking, const struct bw_letters *letters, struct bw_letter *letter, const struct bw_letter_found *found,
                       struct bw_error *err)
{
    /* One that is to be called once more counts as one that has not begun: the resume that follows runs it like all of these. */
    static const enum bw_step_state states[] = {BW_STEP_SUCCEEDED, BW_STEP_FAILED, BW_STEP_CANCELLED};
    static const char *const words[] = {"has succeeded", "has failed", "is tried again"};
    sqlite3_stmt *statement = BW_WRITE(parking->sql, resolve_step);
    int state, shown = letters->step.len > 80 ? 80 : (int)letters->step.len;
    char text[160];
    if (!bw_letter_step_state(parking, found->id, letters->step, &state, err)) return false;
    if (state != BW_STEP_UNKNOWN && state != BW_STEP_STARTED) {
        snprintf(text, sizeof text, state ? "its step %.*s is %s" : "it has no step %.*s%s", shown, letters->step.ptr,
                 state ? bw_step_state_name((enum bw_step_state)state) : "");
        return bw_letter_refuse(letter, state ? "step.not_unknown" : "step.missing", text, "its steps are in: bellwire runs show RUN");
    }
    bw_sql_bind_int(statement, 1, found->id);
    bw_sql_bind_text(statement, 2, letters->step);
    bw_sql_bind_int(statement, 3, states[letters->resolution]);
    bw_sql_bind_blob_or_null(statement, 4, letters->resolution == BW_STEP_HAS_SUCCEEDED ? letters->output : (struct bw_slice){0});
    bw_sql_bind_int(statement, 5, letters->now_ms);
    if (!bw_sql_run(statement, err)) return false;
    snprintf(text, sizeof text, "the step %.*s %s", shown, letters->step.ptr, words[letters->resolution]);
    return bw_letter_audit(parking, letters, letter->run, "resolve", text, err);
}
