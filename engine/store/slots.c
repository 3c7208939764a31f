#include "store/slots.h"
#include "base/clock.h"
#include "store/parking_step.h"
#include <stdio.h>
#include <string.h>

enum slot_state { SLOT_WAITS, SLOT_HELD, SLOT_GIVEN_UP };
struct group {
    unsigned char bytes[BW_SLOT_GROUP_BYTES];
};

static bool set_state(struct bw_parking *parking, int64_t run_id, enum slot_state state, struct bw_error *err)
{
    bw_sql_bind_int(parking->sql->set_slot, 1, run_id);
    bw_sql_bind_int(parking->sql->set_slot, 2, state);
    return bw_sql_run(parking->sql->set_slot, err);
}

static bool count(struct bw_parking *parking, const struct group *group, enum slot_state state, int64_t *out, struct bw_error *err)
{
    sqlite3_stmt *statement = parking->sql->count_slots;
    bool has_row;
    bw_sql_bind_blob(statement, 1, group->bytes, sizeof group->bytes);
    bw_sql_bind_int(statement, 2, state);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *out = has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}

struct holder {
    int64_t run_id; /* 0: there is none */
    int64_t most, until_ms;
};

/* The first one that waits, or that holds one. */
static bool first(struct bw_parking *parking, const struct group *group, enum slot_state state, struct holder *holder, struct bw_error *err)
{
    sqlite3_stmt *statement = parking->sql->first_slot;
    bool has_row;
    bw_sql_bind_blob(statement, 1, group->bytes, sizeof group->bytes);
    bw_sql_bind_int(statement, 2, state);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *holder = (struct holder){.run_id = 0};
    if (!has_row) return true;
    *holder = (struct holder){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1), sqlite3_column_int64(statement, 2)};
    sqlite3_reset(statement);
    return true;
}

static bool let_go(struct bw_parking *parking, const struct holder *holder, struct bw_error *err)
{
    int64_t run_id = holder->run_id;
    bw_sql_bind_int(parking->sql->unblock_run, 1, run_id);
    bw_sql_bind_int(parking->sql->unblock_run, 2, bw_clock_wall_ms());
    if (holder->until_ms && !bw_parking_stop_waiting(parking, run_id, BW_PATH_WITHIN, err)) return false;
    return set_state(parking, run_id, SLOT_HELD, err) && bw_sql_run(parking->sql->unblock_run, err) && bw_parking_enqueue(parking, run_id, err);
}

static bool hand_over(struct bw_parking *parking, const struct group *group, struct bw_error *err)
{
    for (;;) {
        struct holder next;
        int64_t held;
        if (!first(parking, group, SLOT_WAITS, &next, err)) return false;
        if (!next.run_id) return true;
        if (!count(parking, group, SLOT_HELD, &held, err)) return false;
        if (held >= next.most) return true;
        if (!let_go(parking, &next, err)) return false;
    }
}

/* ---- what is not run ---- */

static bool end_run(struct bw_parking *parking, int64_t run_id, enum bw_run_state state, const char *code, const char *message, int64_t other,
                    struct bw_error *err)
{
    sqlite3_stmt *uid = parking->sql->run_uid, *end = parking->sql->end_blocked_run;
    char text[BW_UID_TEXT] = "another run";
    struct bw_buf error = {0};
    bool has_row;
    bw_sql_bind_int(uid, 1, other);
    if (!bw_sql_next(uid, &has_row, err)) return false;
    if (has_row) bw_uid_text(bw_sql_column_uid(uid, 0), BW_UID_RUN, text);
    sqlite3_reset(uid);
    bw_buf_printf(&error, "{\"code\":\"%s\",\"message\":\"%s %s\",\"class\":\"permanent\",\"step\":\"concurrency\"}", code, message, text);
    bw_sql_bind_int(end, 1, run_id);
    bw_sql_bind_int(end, 2, state);
    bw_sql_bind_int(end, 3, bw_clock_wall_ms());
    bw_sql_bind_text(end, 4, bw_buf_slice(&error));
    bool good = error.failed ? bw_error_set(err, "memory", "out of memory") : bw_sql_run(end, err);
    bw_buf_free(&error);
    return good && bw_parking_end_steps(parking, run_id, err) && bw_parking_end(parking, run_id, true, err);
}

static bool replace(struct bw_parking *parking, const struct group *group, int64_t by, struct bw_error *err)
{
    for (;;) {
        struct holder next;
        if (!first(parking, group, SLOT_WAITS, &next, err)) return false;
        if (!next.run_id) return true;
        if (!end_run(parking, next.run_id, BW_RUN_CANCELLED, "concurrency.replaced", "its place was taken by", by, err)) return false;
    }
}

/* One of them, unless there is one already whose end is on its way. It goes when its worker has given up what is under way. */
static bool cancel_holder(struct bw_parking *parking, const struct group *group, int64_t by, struct bw_error *err)
{
    sqlite3_stmt *holder = parking->sql->holder_to_cancel, *uid = parking->sql->run_uid;
    char text[BW_UID_TEXT] = "another run", why[96 + BW_UID_TEXT];
    int64_t now_ms = bw_clock_wall_ms();
    bool has_row;
    bw_sql_bind_blob(holder, 1, group->bytes, sizeof group->bytes);
    if (!bw_sql_next(holder, &has_row, err)) return false;
    int64_t run_id = has_row ? sqlite3_column_int64(holder, 0) : 0;
    bool is_known = has_row && sqlite3_column_int(holder, 1) != 0;
    sqlite3_reset(holder);
    if (!run_id || is_known) return true;
    bw_sql_bind_int(uid, 1, by);
    if (!bw_sql_next(uid, &has_row, err)) return false;
    if (has_row) bw_uid_text(bw_sql_column_uid(uid, 0), BW_UID_RUN, text);
    sqlite3_reset(uid);
    snprintf(why, sizeof why, "{\"reason\":\"its place was taken by %s\",\"by\":\"concurrency\"}", text);
    bw_sql_bind_int(parking->sql->set_cancel, 1, run_id);
    bw_sql_bind_text(parking->sql->set_cancel, 2, bw_slice_of(why));
    return bw_sql_run(parking->sql->set_cancel, err) && bw_parking_cancel(parking, run_id, now_ms, err) &&
           bw_parking_note_watched(parking, run_id, err);
}

/* ---- asking ---- */

bool bw_slots_open(struct bw_parking *parking, struct bw_error *err)
{
    bool has_row;
    if (!bw_sql_next(parking->sql->any_slot, &parking->has_slots, err)) return false;
    sqlite3_reset(parking->sql->any_slot);
    if (!parking->has_slots) return true;
    if (!bw_sql_next(parking->sql->last_order, &has_row, err)) return false;
    parking->asked_ms = has_row ? sqlite3_column_int64(parking->sql->last_order, 0) : 0;
    sqlite3_reset(parking->sql->last_order);
    return true;
}

/* Its place among those that wait. */
static bool place_of(struct bw_parking *parking, const struct bw_slot_ask *ask, bool others_wait, int64_t *order_ms, struct bw_error *err)
{
    sqlite3_stmt *earlier = parking->sql->earlier_asker;
    int64_t now_ms = bw_clock_wall_ms();
    bool has_row;
    if (now_ms > parking->asked_ms) parking->asked_ms = now_ms;
    *order_ms = parking->asked_ms - 1000LL * ask->slot->priority;
    if (!others_wait || !ask->keeps_order) return true;
    bw_sql_bind_blob(earlier, 1, ask->slot->group, sizeof ask->slot->group);
    bw_sql_bind_int(earlier, 2, ask->event_id);
    bw_sql_bind_int(earlier, 3, ask->slot->priority);
    if (!bw_sql_next(earlier, &has_row, err)) return false;
    if (has_row && sqlite3_column_type(earlier, 0) != SQLITE_NULL && sqlite3_column_int64(earlier, 0) < *order_ms)
        *order_ms = sqlite3_column_int64(earlier, 0); /* its event is earlier: it was only looked at later, after a crash */
    sqlite3_reset(earlier);
    return true;
}

static bool put(struct bw_parking *parking, const struct bw_slot_ask *ask, int64_t order_ms, struct bw_error *err)
{
    sqlite3_stmt *put = parking->sql->put_slot;
    const struct bw_slot_new *slot = ask->slot;
    parking->has_slots = true;
    bw_sql_bind_int(put, 1, ask->run_id);
    bw_sql_bind_blob(put, 2, slot->group, sizeof slot->group);
    bw_sql_bind_int(put, 3, SLOT_WAITS);
    bw_sql_bind_int(put, 4, ask->event_id);
    bw_sql_bind_int(put, 5, slot->most);
    bw_sql_bind_int(put, 6, slot->holds_parked);
    bw_sql_bind_int(put, 7, order_ms);
    bw_sql_bind_int(put, 8, slot->priority);
    bw_sql_bind_int(put, 9, ask->until_ms);
    bw_sql_bind_int(put, 10, slot->holds_failed);
    bw_sql_bind_int(parking->sql->block_run, 1, ask->run_id);
    return bw_sql_run(put, err) && bw_sql_run(parking->sql->block_run, err);
}

bool bw_slots_admit(struct bw_parking *parking, const struct bw_slot_ask *ask, struct bw_error *err)
{
    const struct bw_slot_new *slot = ask->slot;
    enum bw_when_full when_full = ask->must_run ? BW_FULL_QUEUE : slot->when_full;
    struct group group;
    struct holder holder = {.run_id = 0};
    int64_t held, waiting, order_ms;
    memcpy(group.bytes, slot->group, sizeof group.bytes);
    if (!count(parking, &group, SLOT_HELD, &held, err) || !count(parking, &group, SLOT_WAITS, &waiting, err)) return false;
    bool is_full = held >= slot->most;
    if (is_full && when_full != BW_FULL_QUEUE && !first(parking, &group, SLOT_HELD, &holder, err)) return false;
    if (is_full && when_full == BW_FULL_SKIP)
        return end_run(parking, ask->run_id, BW_RUN_SKIPPED, "concurrency.full", "not run, because at that time there was", holder.run_id, err);
    if (is_full && when_full >= BW_FULL_REPLACE && !replace(parking, &group, ask->run_id, err)) return false;
    if (is_full && when_full == BW_FULL_CANCEL_RUNNING && !cancel_holder(parking, &group, ask->run_id, err)) return false;
    if (is_full && when_full == BW_FULL_QUEUE && waiting >= slot->max_queue && !ask->must_run)
        return end_run(parking, ask->run_id, BW_RUN_SKIPPED, "concurrency.queue_full",
                       "max_queue runs wait already, so this one is left out:", ask->run_id, err);
    return place_of(parking, ask, waiting > 0, &order_ms, err) && put(parking, ask, order_ms, err) && hand_over(parking, &group, err);
}

/* ---- a run's way ---- */

struct slot {
    struct group group;
    enum slot_state state;
    int64_t most;
    bool is_there, holds_parked, holds_failed;
};

static bool find(struct bw_parking *parking, int64_t run_id, struct slot *slot, struct bw_error *err)
{
    sqlite3_stmt *statement = parking->sql->find_slot;
    *slot = (struct slot){.is_there = false};
    if (!parking->has_slots) return true;
    bw_sql_bind_int(statement, 1, run_id);
    if (!bw_sql_next(statement, &slot->is_there, err)) return false;
    if (!slot->is_there) return true;
    struct bw_slice group = bw_sql_column(statement, 0);
    if (group.len == sizeof slot->group.bytes) memcpy(slot->group.bytes, group.ptr, group.len);
    slot->state = (enum slot_state)sqlite3_column_int(statement, 1);
    slot->most = sqlite3_column_int64(statement, 2);
    slot->holds_parked = sqlite3_column_int(statement, 3) != 0;
    slot->holds_failed = sqlite3_column_int(statement, 4) != 0;
    sqlite3_reset(statement);
    return true;
}

bool bw_slots_parked(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    struct slot slot;
    if (!find(parking, run_id, &slot, err)) return false;
    if (!slot.is_there || slot.holds_parked || slot.state != SLOT_HELD) return true;
    return set_state(parking, run_id, SLOT_GIVEN_UP, err) && hand_over(parking, &slot.group, err);
}

bool bw_slots_woken(struct bw_parking *parking, int64_t run_id, bool *may_go, struct bw_error *err)
{
    struct slot slot;
    int64_t held;
    if (!find(parking, run_id, &slot, err)) return false;
    *may_go = !slot.is_there || slot.state == SLOT_HELD;
    if (*may_go) return true;
    if (!count(parking, &slot.group, SLOT_HELD, &held, err)) return false;
    *may_go = held < slot.most; /* then nobody waits */
    if (*may_go) return set_state(parking, run_id, SLOT_HELD, err);
    bw_sql_bind_int(parking->sql->block_run, 1, run_id);
    return set_state(parking, run_id, SLOT_WAITS, err) && bw_sql_run(parking->sql->block_run, err);
}

static bool give_back(struct bw_parking *parking, int64_t run_id, const struct slot *slot, struct bw_error *err)
{
    bw_sql_bind_int(parking->sql->delete_slot, 1, run_id);
    /* Also behind one that has waited: the next one may have been told of more slots. */
    return bw_sql_run(parking->sql->delete_slot, err) && (slot->state == SLOT_GIVEN_UP || hand_over(parking, &slot->group, err));
}

bool bw_slots_ended(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    sqlite3_stmt *statement = parking->sql->is_kept;
    struct slot slot;
    bool has_row;
    if (!find(parking, run_id, &slot, err)) return false;
    if (!slot.is_there) return true;
    if (slot.holds_failed && slot.state == SLOT_HELD) {
        bw_sql_bind_int(statement, 1, run_id);
        if (!bw_sql_next(statement, &has_row, err)) return false;
        bool is_kept = has_row && sqlite3_column_int(statement, 0);
        sqlite3_reset(statement);
        if (is_kept) return true;
    }
    return give_back(parking, run_id, &slot, err);
}

bool bw_slots_resolved(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    struct slot slot;
    if (!find(parking, run_id, &slot, err)) return false;
    return !slot.is_there || give_back(parking, run_id, &slot, err);
}

bool bw_slots_take_over(struct bw_parking *parking, int64_t run_id, int64_t from, bool *has_slot, struct bw_error *err)
{
    sqlite3_stmt *statement = parking->sql->move_slot;
    *has_slot = false;
    if (!parking->has_slots) return true;
    bw_sql_bind_int(statement, 1, from);
    bw_sql_bind_int(statement, 2, run_id);
    if (!bw_sql_run(statement, err)) return false;
    *has_slot = sqlite3_changes(sqlite3_db_handle(statement)) > 0;
    return true;
}

bool bw_slots_settle(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    struct slot slot;
    if (!find(parking, run_id, &slot, err)) return false;
    return !slot.is_there || hand_over(parking, &slot.group, err);
}
