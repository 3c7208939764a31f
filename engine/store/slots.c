#include "store/slots.h"
#include "base/clock.h"
#include "base/json.h"
#include "store/nest.h"
#include "store/parking_step.h"
#include "store/pausing.h"
#include <stdio.h>
#include <string.h>

enum slot_state { SLOT_WAITS, SLOT_HELD, SLOT_GIVEN_UP };
struct group {
    unsigned char bytes[BW_SLOT_GROUP_BYTES];
};

static bool set_state(struct bw_parking *parking, int64_t run_id, enum slot_state state, struct bw_error *err)
{
    bw_sql_bind_int(BW_WRITE(parking->sql, set_slot), 1, run_id);
    bw_sql_bind_int(BW_WRITE(parking->sql, set_slot), 2, state);
    return bw_sql_run(BW_WRITE(parking->sql, set_slot), err);
}

static bool count(struct bw_parking *parking, const struct group *group, enum slot_state state, int64_t *out, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, count_slots);
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
    sqlite3_stmt *statement = BW_WRITE(parking->sql, first_slot);
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
    bw_sql_bind_int(BW_WRITE(parking->sql, unblock_run), 1, run_id);
    bw_sql_bind_int(BW_WRITE(parking->sql, unblock_run), 2, bw_clock_wall_ms());
    if (holder->until_ms && !bw_parking_stop_waiting(parking, run_id, BW_PATH_WITHIN, err)) return false;
    return set_state(parking, run_id, SLOT_HELD, err) && bw_sql_run(BW_WRITE(parking->sql, unblock_run), err) &&
           bw_parking_enqueue(parking, run_id, err);
}

/* It leaves those that wait for a slot, and asks for one again when its workflow goes on. */
static bool hold(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    bw_sql_bind_int(BW_WRITE(parking->sql, delete_slot), 1, run_id);
    return bw_sql_run(BW_WRITE(parking->sql, delete_slot), err) && bw_pausing_hold(parking, run_id, 0, err);
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
        bool is_held;
        if (!bw_pausing_holds_admitted(parking, next.run_id, &is_held, err)) return false;
        if (is_held ? !hold(parking, next.run_id, err) : !let_go(parking, &next, err)) return false;
    }
}

struct slot {
    struct group group;
    enum slot_state state;
    int64_t most;
    bool is_there, holds_parked, holds_failed;
};

static bool find(struct bw_parking *parking, int64_t run_id, struct slot *slot, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, find_slot);
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

/* ---- what is not run ---- */

static bool run_text(struct bw_parking *parking, int64_t run_id, char text[BW_UID_TEXT], struct bw_error *err)
{
    sqlite3_stmt *uid = BW_WRITE(parking->sql, run_uid);
    bool has_row;
    snprintf(text, BW_UID_TEXT, "another run");
    bw_sql_bind_int(uid, 1, run_id);
    if (!bw_sql_next(uid, &has_row, err)) return false;
    if (has_row) bw_uid_text(bw_sql_column_uid(uid, 0), BW_UID_RUN, text);
    sqlite3_reset(uid);
    return true;
}

static bool end_run(struct bw_parking *parking, int64_t run_id, enum bw_run_state state, const char *code, const char *message, int64_t other,
                    struct bw_error *err)
{
    struct bw_error why;
    char text[BW_UID_TEXT];
    if (!run_text(parking, other, text, err)) return false;
    bw_error_set(&why, code, "%s %s", message, text);
    return bw_parking_refuse(parking, run_id, state, &why, BW_SLICE("concurrency"), err);
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
    sqlite3_stmt *holder = BW_WRITE(parking->sql, holder_to_cancel);
    char text[BW_UID_TEXT], why[96 + BW_UID_TEXT];
    int64_t now_ms = bw_clock_wall_ms();
    bool has_row;
    bw_sql_bind_blob(holder, 1, group->bytes, sizeof group->bytes);
    if (!bw_sql_next(holder, &has_row, err)) return false;
    int64_t run_id = has_row ? sqlite3_column_int64(holder, 0) : 0;
    bool is_known = has_row && sqlite3_column_int(holder, 1) != 0;
    sqlite3_reset(holder);
    if (!run_id || is_known) return true;
    if (!run_text(parking, by, text, err)) return false;
    snprintf(why, sizeof why, "{\"reason\":\"its place was taken by %s\",\"by\":\"concurrency\"}", text);
    bw_sql_bind_int(BW_WRITE(parking->sql, set_cancel), 1, run_id);
    bw_sql_bind_text(BW_WRITE(parking->sql, set_cancel), 2, bw_slice_of(why));
    return bw_sql_run(BW_WRITE(parking->sql, set_cancel), err) && bw_parking_cancel(parking, run_id, now_ms, err) &&
           bw_parking_note_watched(parking, run_id, err);
}

/* Nobody waits in a circle: as long as there is one, one run of it ends. */
static bool break_circles(struct bw_parking *parking, int64_t run_id, const struct group *group, struct bw_error *err)
{
    for (;;) {
        struct bw_circle circle;
        struct bw_error why;
        struct slot slot;
        char text[BW_UID_TEXT];
        if (!find(parking, run_id, &slot, err)) return false;
        if (!slot.is_there || slot.state != SLOT_WAITS) return true;
        if (!bw_nest_find_circle(parking, run_id, group->bytes, &circle, err)) return false;
        if (!circle.run_id) return true;
        if (!run_text(parking, circle.holder, text, err)) return false;
        bw_error_set(&why, "concurrency.deadlock", "it would wait for ever: %s has the slot and waits for a run that waits for this one's callers",
                     text);
        bw_error_hint(&why, "let all who need both take their slots in the same order, or give one up while its run only waits: hold: active");
        if (!bw_parking_refuse(parking, circle.run_id, BW_RUN_FAILED, &why, BW_SLICE("concurrency"), err)) return false;
    }
}

/* ---- asking ---- */

bool bw_slots_open(struct bw_parking *parking, struct bw_error *err)
{
    bool has_row;
    if (!bw_sql_next(BW_WRITE(parking->sql, any_slot), &parking->has_slots, err)) return false;
    sqlite3_reset(BW_WRITE(parking->sql, any_slot));
    if (!parking->has_slots) return true;
    if (!bw_sql_next(BW_WRITE(parking->sql, last_order), &has_row, err)) return false;
    parking->asked_ms = has_row ? sqlite3_column_int64(BW_WRITE(parking->sql, last_order), 0) : 0;
    sqlite3_reset(BW_WRITE(parking->sql, last_order));
    return true;
}

/* Its place among those that wait. */
static bool place_of(struct bw_parking *parking, const struct bw_slot_ask *ask, bool others_wait, int64_t *order_ms, struct bw_error *err)
{
    sqlite3_stmt *earlier = BW_WRITE(parking->sql, earlier_asker);
    int64_t now_ms = bw_clock_wall_ms();
    bool has_row;
    if (now_ms > parking->asked_ms) parking->asked_ms = now_ms;
    *order_ms = parking->asked_ms - 1000LL * ask->slot->priority;
    if (!others_wait || !ask->keeps_order || ask->is_called) return true;
    bw_sql_bind_blob(earlier, 1, ask->slot->group, sizeof ask->slot->group);
    bw_sql_bind_int(earlier, 2, ask->event_id);
    bw_sql_bind_int(earlier, 3, ask->slot->priority);
    if (!bw_sql_next(earlier, &has_row, err)) return false;
    if (has_row && sqlite3_column_type(earlier, 0) != SQLITE_NULL && sqlite3_column_int64(earlier, 0) < *order_ms)
        *order_ms = sqlite3_column_int64(earlier, 0); /* its event is earlier: it was only looked at later, after a crash */
    sqlite3_reset(earlier);
    return true;
}

/* A run that is called has no event of its own: it comes behind all that are there when it asks. */
static bool place_event(struct bw_parking *parking, const struct bw_slot_ask *ask, int64_t *event_id, struct bw_error *err)
{
    bool has_row;
    *event_id = ask->event_id;
    if (!ask->is_called) return true;
    if (!bw_sql_next(BW_WRITE(parking->sql, next_event), &has_row, err)) return false;
    *event_id = sqlite3_column_int64(BW_WRITE(parking->sql, next_event), 0);
    sqlite3_reset(BW_WRITE(parking->sql, next_event));
    return true;
}

static bool put(struct bw_parking *parking, const struct bw_slot_ask *ask, const struct bw_slot_new *slot, int64_t lender, int64_t order_ms,
                struct bw_error *err)
{
    sqlite3_stmt *put = BW_WRITE(parking->sql, put_slot);
    int64_t event_id;
    if (!place_event(parking, ask, &event_id, err)) return false;
    parking->has_slots = true;
    bw_sql_bind_int(put, 1, ask->run_id);
    bw_sql_bind_blob(put, 2, slot->group, sizeof slot->group);
    bw_sql_bind_int(put, 3, SLOT_WAITS);
    bw_sql_bind_int(put, 4, event_id);
    bw_sql_bind_int(put, 5, slot->most);
    bw_sql_bind_int(put, 6, slot->holds_parked);
    bw_sql_bind_int(put, 7, order_ms);
    bw_sql_bind_int(put, 8, slot->priority);
    bw_sql_bind_int(put, 9, ask->until_ms);
    bw_sql_bind_int(put, 10, slot->holds_failed);
    bw_sql_bind_int(put, 11, lender);
    if (lender)
        bw_sql_bind_blob(put, 12, ask->slot->group, sizeof ask->slot->group);
    else
        sqlite3_bind_null(put, 12);
    bw_sql_bind_int(put, 13, ask->is_called);
    bw_sql_bind_int(BW_WRITE(parking->sql, block_run), 1, ask->run_id);
    return bw_sql_run(put, err) && bw_sql_run(BW_WRITE(parking->sql, block_run), err);
}

/* Lent is one slot, and what becomes of a failed run's is said by who lends it. */
static bool look_above(struct bw_parking *parking, const struct bw_slot_ask *ask, struct bw_slot_new *slot, struct bw_nest *nest,
                       struct bw_error *err)
{
    *nest = (struct bw_nest){.lender = 0};
    if (!ask->is_called || !parking->has_slots) return true;
    if (!bw_nest_look(parking, ask->run_id, slot->group, nest, err)) return false;
    if (!nest->lender) return true;
    memcpy(slot->group, nest->group, sizeof slot->group);
    slot->most = 1;
    slot->holds_failed = false;
    return true;
}

bool bw_slots_admit(struct bw_parking *parking, const struct bw_slot_ask *ask, struct bw_error *err)
{
    struct bw_slot_new slot = *ask->slot;
    struct group group;
    struct holder holder = {.run_id = 0};
    struct bw_nest nest;
    int64_t held, waiting, order_ms;
    if (!look_above(parking, ask, &slot, &nest, err)) return false;
    bool must_run = ask->must_run || (nest.will_be_free && !nest.lender);
    enum bw_when_full when_full = must_run ? BW_FULL_QUEUE : slot.when_full;
    memcpy(group.bytes, slot.group, sizeof group.bytes);
    if (!count(parking, &group, SLOT_HELD, &held, err) || !count(parking, &group, SLOT_WAITS, &waiting, err)) return false;
    bool is_full = held >= slot.most;
    if (is_full && when_full != BW_FULL_QUEUE && !first(parking, &group, SLOT_HELD, &holder, err)) return false;
    if (is_full && when_full == BW_FULL_SKIP)
        return end_run(parking, ask->run_id, BW_RUN_SKIPPED, "concurrency.full", "not run, because at that time there was", holder.run_id, err);
    if (is_full && when_full >= BW_FULL_REPLACE && !replace(parking, &group, ask->run_id, err)) return false;
    if (is_full && when_full == BW_FULL_CANCEL_RUNNING && !cancel_holder(parking, &group, ask->run_id, err)) return false;
    if (is_full && when_full == BW_FULL_QUEUE && waiting >= slot.max_queue && !must_run)
        return end_run(parking, ask->run_id, BW_RUN_SKIPPED, "concurrency.queue_full",
                       "max_queue runs wait already, so this one is left out:", ask->run_id, err);
    return place_of(parking, ask, waiting > 0, &order_ms, err) && put(parking, ask, &slot, nest.lender, order_ms, err) &&
           hand_over(parking, &group, err) && (!nest.has_keeper || break_circles(parking, ask->run_id, &group, err));
}

/* ---- a run's way ---- */

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
    struct bw_nest nest;
    int64_t held;
    if (!find(parking, run_id, &slot, err)) return false;
    *may_go = !slot.is_there || slot.state == SLOT_HELD;
    if (*may_go) return true;
    if (!count(parking, &slot.group, SLOT_HELD, &held, err)) return false;
    *may_go = held < slot.most; /* then nobody waits */
    if (*may_go) return set_state(parking, run_id, SLOT_HELD, err);
    bw_sql_bind_int(BW_WRITE(parking->sql, block_run), 1, run_id);
    if (!set_state(parking, run_id, SLOT_WAITS, err) || !bw_sql_run(BW_WRITE(parking->sql, block_run), err)) return false;
    return bw_nest_look(parking, run_id, slot.group.bytes, &nest, err) && (!nest.has_keeper || break_circles(parking, run_id, &slot.group, err));
}

static bool give_back(struct bw_parking *parking, int64_t run_id, const struct slot *slot, struct bw_error *err)
{
    bw_sql_bind_int(BW_WRITE(parking->sql, delete_slot), 1, run_id);
    /* Also behind one that has waited: the next one may have been told of more slots. */
    return bw_sql_run(BW_WRITE(parking->sql, delete_slot), err) && (slot->state == SLOT_GIVEN_UP || hand_over(parking, &slot->group, err));
}

bool bw_slots_ended(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, is_kept);
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

bool bw_slots_resolved_below(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    sqlite3_stmt *below = BW_WRITE(parking->sql, kept_below);
    while (parking->has_slots) {
        bool has_row;
        bw_sql_bind_int(below, 1, run_id);
        if (!bw_sql_next(below, &has_row, err)) return false;
        if (!has_row) break;
        int64_t kept = sqlite3_column_int64(below, 0);
        sqlite3_reset(below);
        if (!bw_slots_resolved(parking, kept, err)) return false;
    }
    return true;
}

bool bw_slots_take_over(struct bw_parking *parking, int64_t run_id, int64_t from, bool *has_slot, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, move_slot);
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
