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

/* The first one that waits, or that holds one; *run_id 0: there is none. */
static bool first(struct bw_parking *parking, const struct group *group, enum slot_state state, int64_t *run_id, int64_t *most, struct bw_error *err)
{
    sqlite3_stmt *statement = parking->sql->first_slot;
    bool has_row;
    bw_sql_bind_blob(statement, 1, group->bytes, sizeof group->bytes);
    bw_sql_bind_int(statement, 2, state);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *run_id = has_row ? sqlite3_column_int64(statement, 0) : 0;
    *most = has_row ? sqlite3_column_int64(statement, 1) : 0;
    sqlite3_reset(statement);
    return true;
}

static bool let_go(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    bw_sql_bind_int(parking->sql->unblock_run, 1, run_id);
    bw_sql_bind_int(parking->sql->unblock_run, 2, bw_clock_wall_ms());
    return set_state(parking, run_id, SLOT_HELD, err) && bw_sql_run(parking->sql->unblock_run, err) && bw_parking_enqueue(parking, run_id, err);
}

static bool hand_over(struct bw_parking *parking, const struct group *group, struct bw_error *err)
{
    for (;;) {
        int64_t run_id, most, held;
        if (!first(parking, group, SLOT_WAITS, &run_id, &most, err)) return false;
        if (!run_id) return true;
        if (!count(parking, group, SLOT_HELD, &held, err)) return false;
        if (held >= most) return true;
        if (!let_go(parking, run_id, err)) return false;
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
    return good && bw_parking_end(parking, run_id, true, err);
}

static bool replace(struct bw_parking *parking, const struct group *group, int64_t by, struct bw_error *err)
{
    for (;;) {
        int64_t run_id, most;
        if (!first(parking, group, SLOT_WAITS, &run_id, &most, err)) return false;
        if (!run_id) return true;
        if (!end_run(parking, run_id, BW_RUN_CANCELLED, "concurrency.replaced", "its place was taken by", by, err)) return false;
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

bool bw_slots_admit(struct bw_parking *parking, int64_t run_id, int64_t event_id, const struct bw_run_row *run, struct bw_error *err)
{
    const struct bw_slot_new *slot = &run->slot;
    sqlite3_stmt *put = parking->sql->put_slot;
    struct group group;
    int64_t held, waiting, holder, most;
    memcpy(group.bytes, slot->group, sizeof group.bytes);
    if (!count(parking, &group, SLOT_HELD, &held, err) || !count(parking, &group, SLOT_WAITS, &waiting, err)) return false;
    if (held >= slot->most && slot->when_full != BW_FULL_QUEUE && !first(parking, &group, SLOT_HELD, &holder, &most, err)) return false;
    if (held >= slot->most && slot->when_full == BW_FULL_SKIP)
        return end_run(parking, run_id, BW_RUN_SKIPPED, "concurrency.full", "not run, because at that time there was", holder, err);
    if (held >= slot->most && slot->when_full >= BW_FULL_REPLACE && !replace(parking, &group, run_id, err)) return false;
    if (held >= slot->most && slot->when_full == BW_FULL_CANCEL_RUNNING && !cancel_holder(parking, &group, run_id, err)) return false;
    if (held >= slot->most && slot->when_full == BW_FULL_QUEUE && waiting >= slot->max_queue)
        return end_run(parking, run_id, BW_RUN_SKIPPED, "concurrency.queue_full", "max_queue runs wait already, so this one is left out:", run_id,
                       err);
    parking->has_slots = true;
    bw_sql_bind_int(put, 1, run_id);
    bw_sql_bind_blob(put, 2, group.bytes, sizeof group.bytes);
    bw_sql_bind_int(put, 3, SLOT_WAITS);
    bw_sql_bind_int(put, 4, event_id);
    bw_sql_bind_int(put, 5, slot->most);
    bw_sql_bind_int(put, 6, slot->holds_parked);
    return bw_sql_run(put, err) && hand_over(parking, &group, err);
}

/* ---- a run's way ---- */

struct slot {
    struct group group;
    enum slot_state state;
    int64_t most;
    bool is_there, holds_parked;
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

bool bw_slots_ended(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    struct slot slot;
    if (!find(parking, run_id, &slot, err)) return false;
    if (!slot.is_there) return true;
    bw_sql_bind_int(parking->sql->delete_slot, 1, run_id);
    return bw_sql_run(parking->sql->delete_slot, err) && (slot.state != SLOT_HELD || hand_over(parking, &slot.group, err));
}
