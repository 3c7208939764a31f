#include "store/votes.h"
#include "base/random.h"
#include "store/parking_step.h"
#include <string.h>

#define KEY_NAME "approvals"

static bool put_vote(struct bw_parking *parking, int64_t run_id, struct bw_vote *vote, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, put_vote);
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_text(statement, 2, vote->step);
    bw_sql_bind_text(statement, 3, vote->choice);
    bw_sql_bind_text(statement, 4, vote->by);
    bw_sql_bind_int(statement, 5, vote->at_ms);
    bw_sql_bind_text(statement, 6, vote->form);
    bw_sql_bind_text(statement, 7, vote->remote);
    bw_sql_bind_int(statement, 8, vote->decides);
    if (!bw_sql_run(statement, err)) return false;
    vote->is_counted = sqlite3_changes(sqlite3_db_handle(statement)) > 0;
    return true;
}

/* "STEP: CHOICE from ADDRESS" */
static bool audit(struct bw_parking *parking, const struct bw_vote *vote, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, put_audit);
    struct bw_buf detail = {0};
    char target[BW_UID_TEXT];
    bw_buf_append_slice(&detail, vote->step);
    bw_buf_append_text(&detail, ": ");
    bw_buf_append_slice(&detail, vote->choice);
    bw_buf_append_text(&detail, " from ");
    bw_buf_append_slice(&detail, vote->remote);
    bool good = !detail.failed || bw_error_set(err, "store.refused", "no memory for an audit row");
    bw_sql_bind_int(statement, 1, vote->at_ms);
    bw_sql_bind_text(statement, 2, vote->by);
    bw_sql_bind_text(statement, 3, vote->is_callback ? BW_SLICE("callback") : BW_SLICE("vote"));
    bw_sql_bind_text(statement, 4, bw_slice_of(bw_uid_text(vote->run, BW_UID_RUN, target)));
    bw_sql_bind_text(statement, 5, bw_buf_slice(&detail));
    good = good && bw_sql_run(statement, err);
    bw_buf_free(&detail);
    return good;
}

static bool run_on_step(sqlite3_stmt *statement, int64_t run_id, struct bw_slice step, struct bw_error *err)
{
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_text(statement, 2, step);
    return bw_sql_run(statement, err);
}

/* Those who have chosen the same. */
static bool count(struct bw_parking *parking, int64_t run_id, const struct bw_vote *vote, int64_t *votes, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, count_votes);
    bool has_row;
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_text(statement, 2, vote->step);
    bw_sql_bind_text(statement, 3, vote->choice);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *votes = has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}

static bool has_voted(struct bw_parking *parking, int64_t run_id, const struct bw_vote *vote, bool *answer, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, has_voted);
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_text(statement, 2, vote->step);
    bw_sql_bind_text(statement, 3, vote->by);
    if (!bw_sql_next(statement, answer, err)) return false;
    if (*answer) sqlite3_reset(statement);
    return true;
}

bool bw_votes_apply(struct bw_parking *parking, struct bw_vote *vote, struct bw_error *err)
{
    sqlite3_stmt *find = BW_WRITE(parking->sql, awaits_vote);
    int64_t votes;
    bool has_row;
    vote->is_counted = vote->decides = false;
    bw_sql_bind_blob(find, 1, vote->run.bytes, sizeof vote->run.bytes);
    bw_sql_bind_text(find, 2, vote->step);
    if (!bw_sql_next(find, &has_row, err)) return false;
    if (!has_row) return true;
    int64_t run_id = sqlite3_column_int64(find, 0), need = sqlite3_column_int64(find, 1);
    bool was_decided = sqlite3_column_int(find, 2) != 0; /* and the run was resumed, or the step is tried again, and asks once more */
    bool awaits_callback = sqlite3_column_type(find, 3) == SQLITE_INTEGER;
    bool fits = vote->is_callback ? awaits_callback && sqlite3_column_int64(find, 3) == vote->iteration : !awaits_callback;
    sqlite3_stmt *settle = vote->is_callback ? BW_WRITE(parking->sql, settle_votes) : BW_WRITE(parking->sql, forget_votes);
    sqlite3_reset(find);
    if (!fits) return true;
    if (vote->is_callback) {
        bool is_known;
        if (!has_voted(parking, run_id, vote, &is_known, err)) return false;
        if (is_known) return true;
    }
    if ((was_decided && !run_on_step(settle, run_id, vote->step, err)) || !count(parking, run_id, vote, &votes, err)) return false;
    vote->decides = votes + 1 >= need;
    if (!put_vote(parking, run_id, vote, err)) return false;
    vote->decides = vote->decides && vote->is_counted;
    if (!vote->is_counted) return true; /* the same person has decided before */
    parking->votes++;
    if (!audit(parking, vote, err)) return false;
    if (!vote->decides) return true;
    parking->woken_steps++;
    return bw_parking_put_wake(parking, run_id, vote->step, &(struct bw_wake){.kind = BW_WAKE_VOTE, .at_ms = vote->at_ms}, err) &&
           bw_parking_stop_waiting(parking, run_id, vote->step, err) && bw_parking_unpark(parking, run_id, err);
}

bool bw_votes_key(const struct bw_write_statements *sql, uint8_t key[BW_STORE_KEY_BYTES], struct bw_error *err)
{
    bool has_row;
    bw_sql_bind_text(BW_WRITE(sql, get_key), 1, BW_SLICE(KEY_NAME));
    if (!bw_sql_next(BW_WRITE(sql, get_key), &has_row, err)) return false;
    if (has_row) {
        struct bw_slice found = bw_sql_column(BW_WRITE(sql, get_key), 0);
        bool is_whole = found.len == BW_STORE_KEY_BYTES;
        if (is_whole) memcpy(key, found.ptr, found.len);
        sqlite3_reset(BW_WRITE(sql, get_key));
        return is_whole || bw_error_set(err, "store.refused", "the key of the approval links is damaged");
    }
    bw_random_bytes(key, BW_STORE_KEY_BYTES);
    bw_sql_bind_text(BW_WRITE(sql, put_key), 1, BW_SLICE(KEY_NAME));
    bw_sql_bind_blob(BW_WRITE(sql, put_key), 2, key, BW_STORE_KEY_BYTES);
    return bw_sql_run(BW_WRITE(sql, put_key), err);
}
