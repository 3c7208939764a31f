#include "store/handovers.h"

static bool audit(const struct bw_write_statements *sql, const struct bw_store_op *op, const char *verb, struct bw_error *err)
{
    struct bw_buf target = {0};
    bw_buf_append_text(&target, "source ");
    bw_buf_append_slice(&target, op->handover->source);
    bw_sql_bind_int(BW_WRITE(sql, put_audit), 1, op->now_ms);
    bw_sql_bind_text(BW_WRITE(sql, put_audit), 2, op->handover->actor);
    bw_sql_bind_text(BW_WRITE(sql, put_audit), 3, bw_slice_of(verb));
    bw_sql_bind_text(BW_WRITE(sql, put_audit), 4, bw_buf_slice(&target));
    bw_sql_bind_text_or_null(BW_WRITE(sql, put_audit), 5, (struct bw_slice){0});
    bool good = target.failed ? bw_error_set(err, "store.refused", "no memory for an audit row") : bw_sql_run(BW_WRITE(sql, put_audit), err);
    bw_buf_free(&target);
    return good;
}

static bool open_window(const struct bw_write_statements *sql, struct bw_store_op *op, struct bw_error *err)
{
    bw_sql_bind_text(BW_WRITE(sql, put_window), 1, op->handover->source);
    bw_sql_bind_int(BW_WRITE(sql, put_window), 2, op->handover->until_ms);
    bw_sql_bind_text(BW_WRITE(sql, put_window), 3, op->handover->actor);
    op->handover->has_changed = true;
    return bw_sql_run(BW_WRITE(sql, put_window), err) && audit(sql, op, "open", err);
}

/* Takes away the source's row of one of the two tables. */
static bool drop(sqlite3_stmt *statement, struct bw_slice source, bool *was_there, struct bw_error *err)
{
    bw_sql_bind_text(statement, 1, source);
    if (!bw_sql_run(statement, err)) return false;
    *was_there = sqlite3_changes(sqlite3_db_handle(statement)) > 0;
    return true;
}

static bool close_window(const struct bw_write_statements *sql, struct bw_store_op *op, struct bw_error *err)
{
    return drop(BW_WRITE(sql, delete_window), op->handover->source, &op->handover->has_changed, err) &&
           (!op->handover->has_changed || audit(sql, op, "close", err));
}

static bool forget(const struct bw_write_statements *sql, struct bw_store_op *op, struct bw_error *err)
{
    bool had_window;
    return drop(BW_WRITE(sql, delete_window), op->handover->source, &had_window, err) &&
           drop(BW_WRITE(sql, delete_learnt), op->handover->source, &op->handover->has_changed, err) &&
           (!op->handover->has_changed || audit(sql, op, "forget", err));
}

static bool is_open(const struct bw_write_statements *sql, const struct bw_store_op *op, bool *answer, struct bw_error *err)
{
    bw_sql_bind_text(BW_WRITE(sql, find_window), 1, op->handover->source);
    if (!bw_sql_next(BW_WRITE(sql, find_window), answer, err)) return false;
    if (!*answer) return true;
    *answer = op->now_ms < sqlite3_column_int64(BW_WRITE(sql, find_window), 0);
    sqlite3_reset(BW_WRITE(sql, find_window));
    return true;
}

static bool is_known(const struct bw_write_statements *sql, const struct bw_store_op *op, bool *has_one, bool *is_same, struct bw_error *err)
{
    bw_sql_bind_text(BW_WRITE(sql, find_learnt), 1, op->handover->source);
    *is_same = false;
    if (!bw_sql_next(BW_WRITE(sql, find_learnt), has_one, err)) return false;
    if (!*has_one) return true;
    *is_same = bw_slice_equal(bw_sql_column(BW_WRITE(sql, find_learnt), 0), op->handover->secret) &&
               bw_slice_equal(bw_sql_column(BW_WRITE(sql, find_learnt), 1), op->handover->value);
    sqlite3_reset(BW_WRITE(sql, find_learnt));
    return true;
}

static bool put_secret(const struct bw_write_statements *sql, const struct bw_store_op *op, struct bw_error *err)
{
    const struct bw_handover *handover = op->handover;
    bw_sql_bind_text(BW_WRITE(sql, put_learnt), 1, handover->source);
    bw_sql_bind_text(BW_WRITE(sql, put_learnt), 2, handover->secret);
    bw_sql_bind_blob(BW_WRITE(sql, put_learnt), 3, handover->value.ptr, handover->value.len);
    bw_sql_bind_int(BW_WRITE(sql, put_learnt), 4, op->now_ms);
    bw_sql_bind_text(BW_WRITE(sql, put_learnt), 5, handover->actor);
    return bw_sql_run(BW_WRITE(sql, put_learnt), err) && audit(sql, op, "learn", err);
}

static bool take(const struct bw_write_statements *sql, struct bw_deliveries *deliveries, struct bw_store_op *op, struct bw_error *err)
{
    struct bw_handover *handover = op->handover;
    struct bw_delivery delivery = op->delivery;
    bool may, has_one, is_same;
    handover->refusal = NULL;
    if (!is_open(sql, op, &may, err) || !is_known(sql, op, &has_one, &is_same, err)) return false;
    if (has_one && !is_same)
        handover->refusal = "it has handed over another secret before";
    else if (!has_one && !may)
        handover->refusal = "it may not hand over its secret now";
    handover->has_changed = !has_one && may;
    if (handover->refusal) {
        delivery.status = 401;
        delivery.outcome = BW_OUTCOME_UNVERIFIED;
        delivery.detail = bw_slice_of(handover->refusal);
    }
    return (!handover->has_changed || put_secret(sql, op, err)) && bw_deliveries_fold(deliveries, &delivery, err);
}

bool bw_handovers_apply(const struct bw_write_statements *sql, struct bw_deliveries *deliveries, struct bw_store_op *op, struct bw_error *err)
{
    switch (op->handover->verb) {
    case BW_HANDOVER_OPEN: return open_window(sql, op, err);
    case BW_HANDOVER_CLOSE: return close_window(sql, op, err);
    case BW_HANDOVER_FORGET: return forget(sql, op, err);
    case BW_HANDOVER_REVEAL: return audit(sql, op, "reveal", err);
    case BW_HANDOVER_TAKE: return take(sql, deliveries, op, err);
    }
    return bw_error_set(err, "store.refused", "an unknown wish about a secret that is handed over");
}
