/* What each kind of operation writes. Each function runs inside the group's transaction and may run again after a rollback: whatever it
 * answers in the operation is written anew. */
#include "base/crash_point.h"
#include "base/json.h"
#include "base/log.h"
#include "store/about.h"
#include "store/admission.h"
#include "store/asks.h"
#include "store/checksum.h"
#include "store/children.h"
#include "store/collect.h"
#include "store/forget.h"
#include "store/handovers.h"
#include "store/later.h"
#include "store/letters_apply.h"
#include "store/pack.h"
#include "store/parking_step.h"
#include "store/pausing.h"
#include "store/revision.h"
#include "store/usages.h"
#include "store/votes.h"
#include "store/writer.h"

static bool insert_event(struct bw_writer *writer, const struct bw_event_new *event, const uint8_t hash[16], int64_t *id, struct bw_error *err)
{
    const struct bw_write_statements *sql = &writer->sql;
    sqlite3_stmt *statement = BW_WRITE(sql, insert_event);
    bw_sql_bind_blob(statement, 1, event->uid.bytes, sizeof event->uid.bytes);
    bw_sql_bind_int(statement, 2, event->at_ms);
    bw_sql_bind_int(statement, 3, event->revision);
    bw_sql_bind_int(statement, 4, event->trusted);
    bw_sql_bind_text(statement, 5, event->source);
    bw_sql_bind_text(statement, 6, event->name);
    bw_sql_bind_text_or_null(statement, 7, event->workflow);
    if (hash) {
        bw_sql_bind_blob(statement, 8, hash, 16);
        bw_sql_bind_int(statement, 9, event->dedupe_expire_ms);
    } else {
        sqlite3_bind_null(statement, 8);
        sqlite3_bind_null(statement, 9);
    }
    if (!bw_sql_run(statement, err)) return false;
    *id = sqlite3_last_insert_rowid(writer->db);

    bw_sql_bind_int(BW_WRITE(sql, insert_body), 1, *id);
    bw_sql_bind_int(BW_WRITE(sql, insert_body), 2, bw_checksum(event->body));
    bw_sql_bind_text_or_null(BW_WRITE(sql, insert_body), 3, event->headers);
    struct bw_slice body = event->packed.len ? event->packed : event->body;
    bw_sql_bind_blob(BW_WRITE(sql, insert_body), 4, body.ptr, body.len);
    bw_sql_bind_int(BW_WRITE(sql, insert_body), 5, event->packed.len ? BW_ENC_ZSTD : BW_ENC_RAW);
    if (event->packed.len)
        bw_sql_bind_int(BW_WRITE(sql, insert_body), 6, (int64_t)event->body.len);
    else
        sqlite3_bind_null(BW_WRITE(sql, insert_body), 6);
    if (!bw_sql_run(BW_WRITE(sql, insert_body), err)) return false;
    bw_sql_bind_int(BW_WRITE(sql, insert_pending), 1, *id);
    return (event->is_done || bw_sql_run(BW_WRITE(sql, insert_pending), err)) && bw_parking_accepted(&writer->parking, *id, event, err);
}

/* *earlier: the event that has the key already, then nothing is written; 0 = none, and *id is the new event's. */
static bool insert_once(struct bw_writer *writer, const struct bw_event_new *event, int64_t *id, int64_t *earlier, struct bw_error *err)
{
    struct bw_key_entry entry = {.expire_ms = event->dedupe_expire_ms};
    uint8_t hash[16];
    *id = *earlier = 0;
    if (!event->dedupe_key.len) return insert_event(writer, event, NULL, id, err);
    if (!bw_dedupe_key(&writer->dedupe, event->source, event->dedupe_key, &entry.key, err)) return false;
    if (!bw_dedupe_find(&writer->dedupe, entry.key, event->at_ms, earlier, err)) return false;
    if (*earlier) return true;
    bw_key_write(entry.key, hash);
    if (!insert_event(writer, event, hash, id, err)) return false;
    entry.event_id = *id;
    return bw_dedupe_add(&writer->dedupe, &entry, err);
}

static bool put_schedule(struct bw_writer *writer, const struct bw_schedule_row *row, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, put_schedule);
    bw_sql_bind_text(statement, 1, row->workflow);
    bw_sql_bind_text(statement, 2, row->rule);
    bw_sql_bind_int(statement, 3, row->last_ms);
    return bw_sql_run(statement, err);
}

/* The uid of the event that came first: zero when retention has removed it, its key outlives it. */
static bool record_duplicate(struct bw_writer *writer, const struct bw_delivery *first, int64_t event_id, struct bw_uid *uid, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, event_uid);
    struct bw_delivery delivery = *first;
    bool has_row;
    bw_sql_bind_int(statement, 1, event_id);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *uid = has_row ? bw_sql_column_uid(statement, 0) : (struct bw_uid){{0}};
    sqlite3_reset(statement);
    delivery.outcome = BW_OUTCOME_DUPLICATE;
    if (delivery.status == 202) delivery.status = 200; /* unless its source wants to hear the same of both */
    return bw_deliveries_add(&writer->deliveries, &delivery, has_row ? event_id : 0, err);
}

/* *is_duplicate: then *id is that of the event that came first, and *uid its own. */
static bool accept_one(struct bw_writer *writer, const struct bw_event_new *event, const struct bw_delivery *delivery, int64_t *id,
                       bool *is_duplicate, struct bw_uid *uid, struct bw_error *err)
{
    int64_t earlier;
    if (!insert_once(writer, event, id, &earlier, err)) return false;
    *is_duplicate = earlier != 0;
    if (!earlier) return bw_deliveries_add(&writer->deliveries, delivery, *id, err);
    *id = earlier;
    return record_duplicate(writer, delivery, earlier, uid, err);
}

/* The events of one request: whoever sends it again means all of them. */
static bool accept_batch(struct bw_writer *writer, struct bw_store_op *op, struct bw_error *err)
{
    struct bw_delivery delivery = op->delivery;
    op->is_duplicate = true;
    for (size_t i = 0; i < op->batch_count; i++) {
        struct bw_batch_event *one = &op->batch[i];
        delivery.provider_id = one->event.dedupe_key;
        delivery.detail = one->detail;
        delivery.bytes = one->bytes;
        if (!accept_one(writer, &one->event, &delivery, &one->event_id, &one->is_duplicate, &one->duplicate_of, err)) return false;
        op->is_duplicate &= one->is_duplicate;
        BW_CRASH_POINT(STORE_MID_BATCH);
    }
    return true;
}

static bool accept_event(struct bw_writer *writer, struct bw_store_op *op, struct bw_error *err)
{
    op->is_duplicate = false;
    if (op->schedule.last_ms && !put_schedule(writer, &op->schedule, err)) return false;
    return op->batch ? accept_batch(writer, op, err)
                     : accept_one(writer, &op->event, &op->delivery, &op->event_id, &op->is_duplicate, &op->duplicate_of, err);
}

static bool emit(struct bw_writer *writer, struct bw_store_op *op, const struct bw_event_new *events, size_t count, struct bw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        int64_t id = 0, earlier;
        bool good = events[i].due_ms ? bw_later_put(&writer->parking, &events[i], err) : insert_once(writer, &events[i], &id, &earlier, err);
        if (!good) return false;
        if (id && !op->first_emitted) op->first_emitted = id;
    }
    return true;
}

static bool emit_failure(struct bw_writer *writer, struct bw_store_op *op, int64_t run_id, const struct bw_event_new *event, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, is_awaited_child);
    bool is_awaited;
    bw_sql_bind_int(statement, 1, run_id);
    if (!bw_sql_next(statement, &is_awaited, err)) return false;
    sqlite3_reset(statement);
    return is_awaited || emit(writer, op, event, 1, err);
}

static bool put_step(struct bw_writer *writer, int64_t run_id, int64_t position, const struct bw_step_row *step, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, put_step);
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_text(statement, 2, step->path);
    bw_sql_bind_int(statement, 3, position);
    bw_sql_bind_int(statement, 4, step->state);
    bw_sql_bind_int(statement, 5, step->attempt);
    bw_sql_bind_int(statement, 6, step->started_ms);
    bw_sql_bind_int(statement, 7, step->ended_ms);
    bw_sql_bind_text_or_null(statement, 8, step->input_names);
    bw_sql_bind_blob_or_null(statement, 9, step->output);
    bw_sql_bind_text_or_null(statement, 10, step->error);
    bw_sql_bind_int(statement, 11, step->is_sensitive);
    bw_sql_bind_text_or_null(statement, 12, step->failures);
    return bw_sql_run(statement, err);
}

static bool insert_run(struct bw_writer *writer, int64_t event_id, const struct bw_run_row *run, bool *is_new, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, insert_run);
    struct bw_buf asks = {0};
    bw_sql_bind_blob(statement, 1, run->uid.bytes, sizeof run->uid.bytes);
    bw_sql_bind_int(statement, 2, event_id);
    bw_sql_bind_text(statement, 3, run->workflow);
    bw_sql_bind_blob(statement, 4, run->version, sizeof run->version);
    bw_sql_bind_int(statement, 5, run->state);
    bw_sql_bind_int(statement, 6, run->lost);
    bw_sql_bind_int(statement, 7, run->started_ms);
    bw_sql_bind_int(statement, 8, run->ended_ms);
    bw_sql_bind_blob_or_null(statement, 9, run->output);
    bw_sql_bind_text_or_null(statement, 10, run->error);
    if (run->state == BW_RUN_BLOCKED) bw_asks_append(&asks, &run->slot, &run->start);
    bw_sql_bind_text_or_null(statement, 11, bw_buf_slice(&asks));
    bool good = asks.failed ? bw_error_set(err, "memory", "out of memory") : bw_sql_run(statement, err);
    bw_buf_free(&asks);
    if (!good) return false;
    *is_new = sqlite3_changes(writer->db) > 0;
    return true;
}

static bool update_run(struct bw_writer *writer, int64_t run_id, const struct bw_run_row *run, enum bw_run_state state, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, update_run);
    bw_sql_bind_int(statement, 1, run_id);
    bw_sql_bind_int(statement, 2, state);
    bw_sql_bind_int(statement, 3, run->lost);
    bw_sql_bind_int(statement, 4, run->started_ms);
    bw_sql_bind_int(statement, 5, run->ended_ms);
    bw_sql_bind_blob_or_null(statement, 6, run->output);
    bw_sql_bind_text_or_null(statement, 7, run->error);
    return bw_sql_run(statement, err);
}

struct known_run { /* what is stored of a run before its report; all zero = nothing */
    int64_t id;
    int state;
    int64_t step_count;
    bool has_live; /* steps whose rows are not final: they may have something registered */
    bool is_child;
};

static bool find_run(struct bw_writer *writer, struct bw_uid uid, struct known_run *known, struct bw_error *err)
{
    sqlite3_stmt *find = BW_WRITE(&writer->sql, find_run);
    bool has_row;
    bw_sql_bind_blob(find, 1, uid.bytes, sizeof uid.bytes);
    if (!bw_sql_next(find, &has_row, err)) return false;
    if (!has_row) return bw_error_set(err, "store.refused", "a run vanished while it was reported");
    *known = (struct known_run){.id = sqlite3_column_int64(find, 0),
                                .state = sqlite3_column_int(find, 1),
                                .step_count = sqlite3_column_int64(find, 2),
                                .has_live = sqlite3_column_int(find, 3) != 0,
                                .is_child = sqlite3_column_int(find, 4) != 0};
    sqlite3_reset(find);
    return true;
}

/* A run that was to be admitted and has ended instead. */
static bool tell_refused(struct bw_writer *writer, struct bw_store_op *op, int64_t run_id, const struct bw_run_row *run, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, find_refused);
    bool has_row;
    bw_sql_bind_int(statement, 1, run_id);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (!has_row) return true;
    struct bw_slice code = bw_sql_column(statement, 1);
    op->refused->run = run->uid;
    op->refused->state = (enum bw_run_state)sqlite3_column_int(statement, 0);
    snprintf(op->refused->code, sizeof op->refused->code, "%.*s", (int)code.len, code.ptr);
    sqlite3_reset(statement);
    return true;
}

/* The store has cancelled it as a child; what its worker still knew of a call that it had said to be under way is better than `unknown`. */
static bool put_late_steps(struct bw_writer *writer, int64_t run_id, const struct bw_run_row *run, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(&writer->sql, put_late_step);
    for (size_t i = 0; i < run->step_count; i++) {
        const struct bw_step_row *step = &run->steps[i];
        if (step->state < BW_STEP_SUCCEEDED || step->state == BW_STEP_UNKNOWN) continue;
        bw_sql_bind_int(statement, 1, run_id);
        bw_sql_bind_text(statement, 2, step->path);
        bw_sql_bind_int(statement, 3, step->state);
        bw_sql_bind_int(statement, 4, step->attempt);
        bw_sql_bind_int(statement, 5, step->ended_ms);
        bw_sql_bind_blob_or_null(statement, 6, step->output);
        bw_sql_bind_text_or_null(statement, 7, step->error);
        if (!bw_sql_run(statement, err) || !bw_usage_settle(&writer->sql, run->uid, step->calls, step->call_count, err)) return false;
    }
    return true;
}

/* A run's row comes with its first report; a run that has ended stays as it ended, whatever a worker that was thought dead reports. One that
 * is parked has its state from the store alone, until it ends. */
static bool put_run(struct bw_writer *writer, struct bw_store_op *op, const struct bw_run_row *run, struct bw_error *err)
{
    struct known_run known = {0};
    enum bw_run_state state = run->state;
    bool is_new, has_ended = state >= BW_RUN_SUCCEEDED;
    if (run->collect.max_events) return bw_collect_add(&writer->parking, op->event_id, run, err);
    if (!insert_run(writer, op->event_id, run, &is_new, err)) return false;
    if (is_new) {
        known.id = sqlite3_last_insert_rowid(writer->db);
        if (state == BW_RUN_BLOCKED)
            return bw_admission_decide(&writer->parking,
                                       &(struct bw_admitted){.id = known.id, .event_id = op->event_id, .asks = {run->slot, run->start}}, err) &&
                   (!op->refused || tell_refused(writer, op, known.id, run, err));
    } else if (state == BW_RUN_BLOCKED) {
        return true; /* said before a crash */
    } else {
        if (!find_run(writer, run->uid, &known, err)) return false;
        if (known.state == BW_RUN_CANCELLED) return put_late_steps(writer, known.id, run, err);
        if (known.state >= BW_RUN_SUCCEEDED) return true;
        bool has_own = known.state == BW_RUN_PARKED || known.state == BW_RUN_BLOCKED || known.state == BW_RUN_DELAYED || known.state == BW_RUN_HELD;
        if (has_own && !has_ended) state = (enum bw_run_state)known.state;
        if (!update_run(writer, known.id, run, state, err)) return false;
    }
    if (run->is_settled && known.has_live && !bw_parking_settled(&writer->parking, known.id, err)) return false;
    bool has_live = known.has_live;
    for (size_t i = 0; i < run->step_count; i++) {
        if (!put_step(writer, known.id, known.step_count + (int64_t)i, &run->steps[i], err)) return false;
        if (!bw_usage_settle(&writer->sql, run->uid, run->steps[i].calls, run->steps[i].call_count, err)) return false;
        if (!has_ended && !bw_parking_put_step(&writer->parking, known.id, &run->steps[i], &has_live, err)) return false;
        if (run->steps[i].join && !bw_children_begin(&writer->parking, known.id, run->uid, op->event_id, &run->steps[i], err)) return false;
    }
    /* What it had recorded as waiting or to be tried again, and did not take up any more. */
    if (has_ended && known.has_live && !bw_parking_end_steps(&writer->parking, known.id, err)) return false;
    if (has_ended && !is_new &&
        (!bw_parking_end(&writer->parking, known.id, known.has_live, err) ||
         (known.is_child && !bw_children_ended(&writer->parking, known.id, state, run->ended_ms, err))))
        return false;
    if (state == BW_RUN_PARKED && !bw_parking_park(&writer->parking, known.id, run->deadline_ms, err)) return false;
    /* Only now: an event that the run causes, or a run that it calls and that is not begun, may wake the run itself, and what it wakes must be parked
     * or not, not half of it. */
    for (size_t i = 0; i < run->step_count; i++) {
        const struct bw_step_row *step = &run->steps[i];
        if (step->join && bw_join_asks(step->join) && !bw_admission_of_call(&writer->parking, known.id, step->path, err)) return false;
        if (!emit(writer, op, step->emits, step->emit_count, err)) return false;
    }
    return state != BW_RUN_FAILED || !run->failure || emit_failure(writer, op, known.id, run->failure, err);
}

static bool report(struct bw_writer *writer, struct bw_store_op *op, struct bw_error *err)
{
    const struct bw_write_statements *sql = &writer->sql;
    bool good = true;
    op->first_emitted = 0;
    if (op->dropped) op->dropped->count = 0;
    writer->parking.dropped = op->dropped;
    for (size_t i = 0; good && i < op->run_count; i++) good = put_run(writer, op, &op->runs[i], err);
    writer->parking.dropped = NULL;
    if (!good) return false;
    if (!op->event_done) return true;
    bw_sql_bind_int(BW_WRITE(sql, delete_pending), 1, op->event_id);
    if (!bw_sql_run(BW_WRITE(sql, delete_pending), err)) return false;
    if (sqlite3_changes(writer->db) == 0) return true; /* already done: the first count stays */
    bw_sql_bind_int(BW_WRITE(sql, insert_matches), 1, op->event_id);
    bw_sql_bind_int(BW_WRITE(sql, insert_matches), 2, op->matched);
    return bw_sql_run(BW_WRITE(sql, insert_matches), err);
}

/* It has never begun: there is nothing to end in it. */
static bool end_unbegun(struct bw_writer *writer, const struct bw_store_op *op, int64_t run_id, struct bw_error *err)
{
    struct bw_error cancelled;
    bw_error_set(&cancelled, "run.cancelled", "the run was cancelled before it began%s%.*s", op->cancel.reason.len ? ": " : "",
                 (int)op->cancel.reason.len, op->cancel.reason.len ? op->cancel.reason.ptr : "");
    return bw_parking_refuse(&writer->parking, run_id, BW_RUN_CANCELLED, &cancelled, (struct bw_slice){0}, err);
}

static bool cancel(struct bw_writer *writer, struct bw_store_op *op, struct bw_error *err)
{
    const struct bw_write_statements *sql = &writer->sql;
    char target[BW_UID_TEXT];
    bool has_row;
    op->cancel.found = 0;
    op->cancel.has_ended = false;
    bw_sql_bind_blob(BW_WRITE(sql, find_cancel), 1, op->cancel.run.bytes, sizeof op->cancel.run.bytes);
    if (!bw_sql_next(BW_WRITE(sql, find_cancel), &has_row, err)) return false;
    if (!has_row) return true;
    int64_t run_id = sqlite3_column_int64(BW_WRITE(sql, find_cancel), 0);
    bool is_known = sqlite3_column_int(BW_WRITE(sql, find_cancel), 2) != 0, has_steps = sqlite3_column_int(BW_WRITE(sql, find_cancel), 3) != 0;
    op->cancel.found = (enum bw_run_state)sqlite3_column_int(BW_WRITE(sql, find_cancel), 1);
    sqlite3_reset(BW_WRITE(sql, find_cancel));
    if (is_known || op->cancel.found >= BW_RUN_SUCCEEDED) return true;
    bw_sql_bind_int(BW_WRITE(sql, set_cancel), 1, run_id);
    bw_sql_bind_text(BW_WRITE(sql, set_cancel), 2, op->cancel.why);
    if (!bw_sql_run(BW_WRITE(sql, set_cancel), err)) return false;
    bw_sql_bind_int(BW_WRITE(sql, put_audit), 1, op->now_ms);
    bw_sql_bind_text(BW_WRITE(sql, put_audit), 2, op->cancel.actor);
    bw_sql_bind_text(BW_WRITE(sql, put_audit), 3, BW_SLICE("cancel"));
    bw_sql_bind_text(BW_WRITE(sql, put_audit), 4, bw_slice_of(bw_uid_text(op->cancel.run, BW_UID_RUN, target)));
    bw_sql_bind_text_or_null(BW_WRITE(sql, put_audit), 5, op->cancel.reason);
    if (!bw_sql_run(BW_WRITE(sql, put_audit), err)) return false;
    bool waits = op->cancel.found == BW_RUN_BLOCKED || op->cancel.found == BW_RUN_DELAYED;
    if (op->cancel.found != BW_RUN_HELD && (!waits || has_steps)) return bw_parking_cancel(&writer->parking, run_id, op->now_ms, err);
    op->cancel.has_ended = true;
    return end_unbegun(writer, op, run_id, err);
}

static void log_damaged(const struct bw_later *later)
{
    char uid[BW_UID_TEXT];
    bw_log(BW_LOG_ERROR, "later.damaged", BW_STR("event", bw_uid_text(later->event.uid, BW_UID_EVENT, uid)), BW_SLC("name", later->event.name),
           BW_STR("message", "an event that was to come now is not what its run caused: it does not come"),
           BW_STR("hint", "check the disk and the memory of this machine; replay the run if it matters"));
}

/* Events whose time has come. */
static bool cause(struct bw_writer *writer, struct bw_store_op *op, bool *more, struct bw_error *err)
{
    struct bw_parking *parking = &writer->parking;
    struct bw_later later = {0};
    uint64_t keys[BW_EVENT_KEYS_MAX];
    bool good = true, found = true;
    *more = false;
    while (good && op->bind && (good = bw_later_first(parking, op->now_ms, &later, &found, err)) && found) {
        int64_t id = 0, earlier;
        if ((*more = bw_parking_is_spent(parking))) break;
        bw_parking_spend(parking);
        parking->caused++;
        good = bw_later_remove(parking, later.id, err);
        if (good && later.is_damaged) {
            log_damaged(&later);
        } else if (good) {
            op->bind(op->bind_arg, &later.event, keys);
            good = insert_once(writer, &later.event, &id, &earlier, err);
        }
        if (id && !op->first_emitted) op->first_emitted = id;
    }
    bw_later_free(&later);
    return good;
}

static bool wake(struct bw_writer *writer, struct bw_store_op *op, struct bw_error *err)
{
    bool more = false, more_later = false, more_held = false;
    op->first_emitted = 0;
    if (!cause(writer, op, &more_later, err)) return false;
    if (!bw_collect_fire(&writer->parking, op, &more, err) || !bw_parking_fire(&writer->parking, op->now_ms, &op->more, err) ||
        !bw_pausing_release(&writer->parking, &more_held, &op->has_resumed, err))
        return false;
    op->more |= more || more_later || more_held;
    return true;
}

static bool keep_pairs(struct bw_writer *writer, const struct bw_store_op *op, struct bw_error *err)
{
    const struct bw_write_statements *sql = &writer->sql;
    if (!bw_sql_run(BW_WRITE(sql, delete_spare_pairs), err)) return false;
    for (size_t i = 0; i < op->pair_count; i++) {
        bw_sql_bind_text(BW_WRITE(sql, put_pair), 1, op->pairs[i].event);
        bw_sql_bind_text(BW_WRITE(sql, put_pair), 2, op->pairs[i].by);
        if (!bw_sql_run(BW_WRITE(sql, put_pair), err)) return false;
    }
    return true;
}

static bool keep_limits(struct bw_writer *writer, const struct bw_store_op *op, struct bw_error *err)
{
    sqlite3_stmt *put = BW_WRITE(&writer->sql, put_limit), *remove = BW_WRITE(&writer->sql, delete_limits);
    for (size_t i = 0; i < op->limit_count; i++) {
        bw_sql_bind_text(put, 1, op->limits[i].name);
        bw_sql_bind_blob(put, 2, op->limits[i].key.ptr, op->limits[i].key.len);
        bw_sql_bind_int(put, 3, op->limits[i].free_ms);
        bw_sql_bind_int(put, 4, op->limits[i].paused_ms);
        if (!bw_sql_run(put, err)) return false;
    }
    if (!op->now_ms) return true;
    bw_sql_bind_int(remove, 1, op->now_ms);
    return bw_sql_run(remove, err);
}

static bool keep_about(struct bw_writer *writer, const struct bw_store_op *op, struct bw_error *err)
{
    bool is_new;
    if (!bw_about_apply(&writer->sql, op->about, &is_new, err)) return false;
    if (is_new) bw_retention_changed(&writer->retention);
    return true;
}

static bool call(struct bw_store_op *op, struct bw_error *err)
{
    bw_error_set(&op->error, "store.refused", "the call inside the transaction failed"); /* unless it says more */
    if (op->call(op)) return true;
    if (err) *err = op->error;
    return false;
}

bool bw_writer_apply(struct bw_writer *writer, struct bw_store_op *op, struct bw_error *err)
{
    switch (op->kind) {
    case BW_OP_ACCEPT: return accept_event(writer, op, err);
    case BW_OP_DELIVERY: return bw_deliveries_fold(&writer->deliveries, &op->delivery, err);
    case BW_OP_REPORT: return report(writer, op, err);
    case BW_OP_REVISION:
        if (!bw_revision_store(&writer->sql, op->revision, &op->revision_id, err)) return false;
        bw_revision_sweep_spare(&writer->retention.revisions, op->revision_id);
        return true;
    case BW_OP_WAKE: return wake(writer, op, err);
    case BW_OP_PAIRS: return keep_pairs(writer, op, err);
    case BW_OP_SCHEDULE: return put_schedule(writer, &op->schedule, err);
    case BW_OP_LIMITS: return keep_limits(writer, op, err);
    case BW_OP_LETTERS: return bw_letters_apply(&writer->parking, op->letters, err);
    case BW_OP_VOTE: return bw_votes_apply(&writer->parking, op->vote, err);
    case BW_OP_KEY: return bw_votes_key(&writer->sql, op->key, err);
    case BW_OP_CANCEL: return cancel(writer, op, err);
    case BW_OP_ABOUT: return keep_about(writer, op, err);
    case BW_OP_PAUSE: return bw_pausing_apply(&writer->parking, op, err);
    case BW_OP_HANDOVER: return bw_handovers_apply(&writer->sql, &writer->deliveries, op, err);
    case BW_OP_USAGE: return bw_usage_apply(&writer->sql, op->usage, err);
    case BW_OP_CALL: return call(op, err);
    case BW_OP_FORGET: return bw_forget_all(writer, err);
    }
    return bw_error_set(err, "store.refused", "an operation of unknown kind %d", (int)op->kind);
}
