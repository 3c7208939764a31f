#include "store/admission.h"
#include "base/clock.h"
#include "base/units.h"
#include "store/parking_step.h"
#include "store/pausing.h"
#include "store/rates.h"
#include "store/slots.h"
#include <stdio.h>

bool bw_admission_owns(struct bw_slice path)
{
    return bw_slice_equal(path, BW_PATH_START) || bw_slice_equal(path, BW_PATH_WITHIN);
}

/* ---- what is not run ---- */

static void rate_text(const struct bw_start_new *start, char out[80])
{
    char period[32];
    int len = snprintf(out, 80, "%u/%s", start->count, bw_duration_text(start->period_ms, period));
    if (start->burst > 1) snprintf(out + len, 80 - (size_t)len, ", %u at once", start->burst);
}

static bool skip_for_rate(struct bw_parking *parking, int64_t run_id, const struct bw_start_new *start, const struct bw_turn *turn, int64_t now_ms,
                          struct bw_error *err)
{
    struct bw_error why = {0};
    char rate[80], wait[32];
    rate_text(start, rate);
    bw_error_set(&why, "run.rate", "not run, because the rate %s is used up: the next one may begin in %s", rate,
                 bw_duration_text(turn->at_us / 1000 - now_ms + 1, wait));
    bw_error_hint(&why, "to have such runs wait for their turn: over: delay; to run this one now: bellwire runs replay");
    return bw_parking_refuse(parking, run_id, BW_RUN_SKIPPED, &why, BW_SLICE("rate"), err);
}

static bool fail_for_rate(struct bw_parking *parking, int64_t run_id, const struct bw_start_new *start, const struct bw_turn *turn, int64_t now_ms,
                          struct bw_error *err)
{
    struct bw_error why = {0};
    char rate[80], wait[32], most[32];
    rate_text(start, rate);
    bw_error_set(&why, "run.rate_too_far", "under the rate %s its turn would come in %s, and a run may take %s in all", rate,
                 bw_duration_text(turn->at_us / 1000 - now_ms, wait), bw_duration_text(start->most_ms, most));
    bw_error_hint(&why, "more comes in than the rate lets through: raise it, or leave runs out with over: skip; then: bellwire runs replay");
    return bw_parking_refuse(parking, run_id, BW_RUN_FAILED, &why, BW_SLICE("rate"), err);
}

static bool skip_as_late(struct bw_parking *parking, int64_t run_id, const char *what, struct bw_error *err)
{
    struct bw_error why = {0};
    bw_error_set(&why, "run.start_within", "not run, because %s", what);
    bw_error_hint(&why, "to run it all the same: bellwire runs replay");
    return bw_parking_refuse(parking, run_id, BW_RUN_SKIPPED, &why, BW_SLICE("start_within"), err);
}

/* ---- its way ---- */

static bool activate(struct bw_parking *parking, int64_t run_id, int64_t until_ms, int64_t now_ms, struct bw_error *err)
{
    sqlite3_stmt *unblock = BW_WRITE(parking->sql, unblock_run);
    bw_sql_bind_int(unblock, 1, run_id);
    bw_sql_bind_int(unblock, 2, now_ms);
    return (!until_ms || bw_parking_stop_waiting(parking, run_id, BW_PATH_WITHIN, err)) && bw_sql_run(unblock, err) &&
           bw_parking_enqueue(parking, run_id, err);
}

static bool set_state(sqlite3_stmt *statement, int64_t run_id, struct bw_error *err)
{
    bw_sql_bind_int(statement, 1, run_id);
    return bw_sql_run(statement, err);
}

/* Its time has come. */
static bool go_on(struct bw_parking *parking, const struct bw_admitted *run, int64_t now_ms, struct bw_error *err)
{
    const struct bw_start_new *start = &run->asks.start;
    if (!run->asks.slot.most) return activate(parking, run->id, start->until_ms, now_ms, err);
    return bw_slots_admit(parking,
                          &(struct bw_slot_ask){.run_id = run->id,
                                                .event_id = run->event_id,
                                                .until_ms = start->until_ms,
                                                .keeps_order = !start->count && !start->ready_ms,
                                                .is_called = run->is_called,
                                                .slot = &run->asks.slot},
                          err);
}

/* However full its group is. */
static bool ask_again(struct bw_parking *parking, const struct bw_admitted *run, struct bw_error *err)
{
    return bw_slots_admit(
        parking,
        &(struct bw_slot_ask){.run_id = run->id, .event_id = run->event_id, .must_run = true, .is_called = run->is_called, .slot = &run->asks.slot},
        err);
}

static bool delay(struct bw_parking *parking, int64_t run_id, const struct bw_start_new *start, const struct bw_turn *turn, int64_t now_ms,
                  struct bw_error *err)
{
    if (!set_state(BW_WRITE(parking->sql, delay_run), run_id, err)) return false;
    return start->count ? bw_rates_take(parking, run_id, start, turn, now_ms, err)
                        : bw_parking_set_timer(parking, run_id, BW_PATH_START, start->ready_ms, err);
}

static bool admit(struct bw_parking *parking, const struct bw_admitted *run, struct bw_error *err)
{
    const struct bw_start_new *start = &run->asks.start;
    int64_t run_id = run->id;
    int64_t now_ms = bw_clock_wall_ms();
    struct bw_turn turn = {.at_us = start->ready_ms * 1000, .is_delayed = start->ready_ms > now_ms};
    char when[BW_CLOCK_TEXT], what[160];
    if (start->count && !bw_rates_look(parking, start, now_ms, &turn, err)) return false;
    if (start->until_ms && now_ms > start->until_ms) return skip_as_late(parking, run_id, "it came to be admitted only when its time was over", err);
    if (start->count && start->skips && turn.is_late) return skip_for_rate(parking, run_id, start, &turn, now_ms, err);
    if (start->until_ms && turn.is_delayed && turn.at_us / 1000 > start->until_ms) {
        snprintf(what, sizeof what, "its turn would come at %s, when its time is over", bw_clock_text(turn.at_us / 1000, when));
        return skip_as_late(parking, run_id, what, err);
    }
    int64_t from_ms = start->ready_ms > now_ms ? start->ready_ms : now_ms; /* a `delay` is meant to be as long as it is */
    if (start->count && turn.at_us / 1000 - from_ms > start->most_ms) return fail_for_rate(parking, run_id, start, &turn, now_ms, err);
    if (start->until_ms && (turn.is_delayed || run->asks.slot.most) && !bw_parking_set_timer(parking, run_id, BW_PATH_WITHIN, start->until_ms, err))
        return false;
    if (turn.is_delayed) return delay(parking, run_id, start, &turn, now_ms, err);
    if (start->count && !bw_rates_take(parking, run_id, start, &turn, now_ms, err)) return false;
    return go_on(parking, run, now_ms, err);
}

bool bw_admission_decide(struct bw_parking *parking, const struct bw_admitted *run, struct bw_error *err)
{
    bool is_held;
    parking->admitted++;
    if (!bw_pausing_holds_new(parking, run->id, &is_held, err)) return false;
    return is_held ? bw_pausing_hold(parking, run->id, run->asks.start.until_ms, err) : admit(parking, run, err);
}

/* ---- later ---- */

struct found {
    int state;
    bool has_steps, is_again; /* is_again: somebody has it run once more */
    int64_t started_ms;
    struct bw_admitted run;
};

static bool find(struct bw_parking *parking, int64_t run_id, struct found *found, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, find_asks);
    bool has_row;
    *found = (struct found){.state = BW_RUN_CANCELLED, .run = {.id = run_id}};
    bw_sql_bind_int(row, 1, run_id);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (!has_row) return true;
    found->state = sqlite3_column_int(row, 0);
    found->run.event_id = sqlite3_column_int64(row, 1);
    found->has_steps = sqlite3_column_int(row, 3) != 0;
    found->run.is_called = sqlite3_column_int(row, 4) != 0;
    found->started_ms = sqlite3_column_int64(row, 5);
    found->is_again = sqlite3_column_int(row, 6) != 0;
    bool good = bw_asks_read(bw_sql_column(row, 2), &found->run.asks, err);
    sqlite3_reset(row);
    return good;
}

bool bw_admission_fire(struct bw_parking *parking, int64_t run_id, struct bw_slice path, int64_t now_ms, struct bw_error *err)
{
    struct found found;
    bool begins = true, is_held, is_start = bw_slice_equal(path, BW_PATH_START);
    int64_t at_ms = bw_clock_wall_ms();
    if (at_ms > now_ms) now_ms = at_ms; /* the rate counts from when it begins indeed */
    parking->admitted++;
    if (!bw_parking_stop_waiting(parking, run_id, is_start ? BW_PATH_START : BW_PATH_WITHIN, err) || !find(parking, run_id, &found, err))
        return false;
    if (!is_start) {
        if (found.state == BW_RUN_DELAYED) return skip_as_late(parking, run_id, "its turn did not come in time", err);
        if (found.state == BW_RUN_HELD) return skip_as_late(parking, run_id, "its workflow was paused until its time was over", err);
        if (found.state == BW_RUN_BLOCKED && !found.has_steps) return skip_as_late(parking, run_id, "it did not get a slot in time", err);
        return true;
    }
    if (found.state != BW_RUN_DELAYED) return true;
    if (!bw_pausing_holds_admitted(parking, run_id, &is_held, err)) return false;
    if (is_held) return bw_rates_ended(parking, run_id, err) && bw_pausing_hold(parking, run_id, 0, err);
    if (found.run.asks.start.count && !bw_rates_begin(parking, run_id, &found.run.asks.start, now_ms, &begins, err)) return false;
    return !begins || go_on(parking, &found.run, now_ms, err);
}

bool bw_admission_again(struct bw_parking *parking, int64_t run_id, int64_t after, struct bw_error *err)
{
    struct found found;
    bool has_slot = false, is_held;
    if (!find(parking, run_id, &found, err) || !bw_pausing_holds_new(parking, run_id, &is_held, err)) return false;
    if (is_held && (after || !found.has_steps)) return bw_pausing_hold(parking, run_id, 0, err); /* nothing of it has been done */
    bool asks = found.run.asks.slot.most > 0;
    if (asks && !bw_slots_take_over(parking, run_id, after ? after : run_id, &has_slot, err)) return false;
    return !asks || has_slot ? bw_parking_enqueue(parking, run_id, err) : ask_again(parking, &found.run, err);
}

bool bw_admission_release(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    struct found found;
    int64_t now_ms = bw_clock_wall_ms();
    if (!find(parking, run_id, &found, err)) return false;
    struct bw_start_new *start = &found.run.asks.start;
    if (found.is_again) return found.run.asks.slot.most ? ask_again(parking, &found.run, err) : activate(parking, run_id, 0, now_ms, err);
    int64_t left_ms = start->ready_ms - found.started_ms; /* since then it has been held */
    start->ready_ms = left_ms > 0 ? now_ms + left_ms : 0;
    return (!start->until_ms || bw_parking_stop_waiting(parking, run_id, BW_PATH_WITHIN, err)) && admit(parking, &found.run, err);
}

bool bw_admission_ended(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    return bw_rates_ended(parking, run_id, err) && bw_slots_ended(parking, run_id, err);
}

bool bw_admission_repair(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    struct found found;
    if (!find(parking, run_id, &found, err)) return false;
    if (found.state == BW_RUN_HELD) return bw_admission_release(parking, run_id, err);
    if (found.state == BW_RUN_DELAYED) return bw_parking_set_timer(parking, run_id, BW_PATH_START, bw_clock_wall_ms(), err);
    if (!found.run.asks.slot.most) return activate(parking, run_id, 0, bw_clock_wall_ms(), err);
    return ask_again(parking, &found.run, err);
}

bool bw_admission_of_call(struct bw_parking *parking, int64_t parent_id, struct bw_slice path, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, unadmitted_child);
    struct found found;
    bool has_row;
    bw_sql_bind_int(row, 1, parent_id);
    bw_sql_bind_text(row, 2, path);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (!has_row) return true; /* its step was said before, or has ended with its run */
    int64_t run_id = sqlite3_column_int64(row, 0);
    bool is_again = sqlite3_column_int(row, 1) == BW_RUN_ACTIVE;
    sqlite3_reset(row);
    if (is_again) return bw_admission_again(parking, run_id, 0, err);
    return find(parking, run_id, &found, err) && bw_admission_decide(parking, &found.run, err);
}
