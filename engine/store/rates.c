#include "store/rates.h"
#include "store/asks.h"
#include "store/parking_step.h"
#include <string.h>

struct group {
    unsigned char bytes[BW_SLOT_GROUP_BYTES];
};

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Rounded up: never more than the rate. */
static int64_t interval_us(const struct bw_start_new *start)
{
    return (start->period_ms * 1000 + start->count - 1) / start->count;
}

/* When the next one may begin, if so much is owed. */
static int64_t turn_us(const struct bw_start_new *start, int64_t owed_until_us)
{
    return owed_until_us - (int64_t)(start->burst - 1) * interval_us(start);
}

static int64_t to_ms(int64_t us)
{
    return (us + 999) / 1000;
}

/* All zero: nothing is owed. */
static bool read_row(struct bw_parking *parking, const struct bw_start_new *start, int64_t now_us, int64_t *taken_us, int64_t *reserved_us,
                     struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, find_rate);
    int64_t most_us = now_us + (int64_t)start->burst * interval_us(start);
    bool has_row;
    bw_sql_bind_blob(statement, 1, start->group, sizeof start->group);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *taken_us = has_row ? sqlite3_column_int64(statement, 0) : 0;
    *reserved_us = has_row ? sqlite3_column_int64(statement, 1) : 0;
    sqlite3_reset(statement);
    if (*taken_us > most_us) *taken_us = most_us; /* the clock was set back */
    return true;
}

static bool write_row(struct bw_parking *parking, const uint8_t *group, int64_t taken_us, int64_t reserved_us, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, put_rate);
    bw_sql_bind_blob(statement, 1, group, BW_SLOT_GROUP_BYTES);
    bw_sql_bind_int(statement, 2, taken_us);
    bw_sql_bind_int(statement, 3, reserved_us);
    return bw_sql_run(statement, err);
}

struct waiting { /* the first one of a group; run_id 0: nobody waits */
    int64_t run_id, ready_ms;
    struct bw_asks asks;
};

static bool first_waiting(struct bw_parking *parking, const uint8_t *group, struct waiting *first, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, first_delayed);
    bool has_row;
    *first = (struct waiting){.run_id = 0};
    bw_sql_bind_blob(statement, 1, group, BW_SLOT_GROUP_BYTES);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (!has_row) return true;
    first->run_id = sqlite3_column_int64(statement, 0);
    first->ready_ms = sqlite3_column_int64(statement, 1);
    bool good = bw_asks_read(bw_sql_column(statement, 2), &first->asks, err);
    sqlite3_reset(statement);
    return good;
}

/* Nobody of a group waits any more: perhaps nobody at all, and then no statement asks for them. */
static bool look_for_any(struct bw_parking *parking, struct bw_error *err)
{
    if (!bw_sql_next(BW_WRITE(parking->sql, any_delayed), &parking->has_delayed, err)) return false;
    sqlite3_reset(BW_WRITE(parking->sql, any_delayed));
    return true;
}

/* Of those that wait, the first one has a timer. */
static bool arm(struct bw_parking *parking, const uint8_t *group, int64_t taken_us, struct bw_error *err)
{
    struct waiting first;
    if (!first_waiting(parking, group, &first, err)) return false;
    if (!first.run_id) return look_for_any(parking, err);
    int64_t due_ms = at_least(first.ready_ms, to_ms(turn_us(&first.asks.start, taken_us)));
    return bw_parking_stop_waiting(parking, first.run_id, BW_PATH_START, err) &&
           bw_parking_set_timer(parking, first.run_id, BW_PATH_START, at_least(due_ms, 1), err);
}

bool bw_rates_look(struct bw_parking *parking, const struct bw_start_new *start, int64_t now_ms, struct bw_turn *turn, struct bw_error *err)
{
    int64_t now_us = now_ms * 1000, ready_us = at_least(now_ms, start->ready_ms) * 1000, taken_us, reserved_us;
    struct waiting first = {.run_id = 0};
    if (!read_row(parking, start, now_us, &taken_us, &reserved_us, err)) return false;
    if (parking->has_delayed && !first_waiting(parking, start->group, &first, err)) return false;
    reserved_us = first.run_id ? at_least(reserved_us, taken_us) : taken_us; /* of those who waited some may be gone without beginning */
    *turn = (struct bw_turn){.at_us = at_least(ready_us, turn_us(start, reserved_us))};
    turn->is_late = turn->at_us > ready_us;
    turn->is_delayed = first.run_id || turn->at_us > now_us;
    turn->reserved_us = at_least(turn->at_us, reserved_us) + interval_us(start);
    turn->taken_us = turn->is_delayed ? taken_us : turn->reserved_us;
    return true;
}

bool bw_rates_take(struct bw_parking *parking, int64_t run_id, const struct bw_start_new *start, const struct bw_turn *turn, int64_t now_ms,
                   struct bw_error *err)
{
    sqlite3_stmt *put = BW_WRITE(parking->sql, put_delayed), *sweep = BW_WRITE(parking->sql, delete_rates);
    bw_sql_bind_int(sweep, 1, now_ms * 1000); /* a few each time: there are never many more than groups that owe something */
    if (!bw_sql_run(sweep, err) || !write_row(parking, start->group, turn->taken_us, turn->reserved_us, err)) return false;
    if (!turn->is_delayed) return true;
    parking->has_delayed = true;
    bw_sql_bind_int(put, 1, run_id);
    bw_sql_bind_blob(put, 2, start->group, sizeof start->group);
    bw_sql_bind_int(put, 3, start->ready_ms);
    bw_sql_bind_int(put, 4, to_ms(turn->at_us));
    return bw_sql_run(put, err) && arm(parking, start->group, turn->taken_us, err);
}

/* *was_there: it was waiting; *group is its. */
static bool leave(struct bw_parking *parking, int64_t run_id, struct group *group, bool *was_there, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, delete_delayed);
    bool more;
    bw_sql_bind_int(statement, 1, run_id);
    if (!bw_sql_next(statement, was_there, err)) return false;
    if (!*was_there) return true;
    struct bw_slice bytes = bw_sql_column(statement, 0);
    if (bytes.len == sizeof group->bytes) memcpy(group->bytes, bytes.ptr, bytes.len);
    return bw_sql_next(statement, &more, err); /* to its end: then it is done */
}

bool bw_rates_begin(struct bw_parking *parking, int64_t run_id, const struct bw_start_new *start, int64_t now_ms, bool *begins, struct bw_error *err)
{
    int64_t now_us = now_ms * 1000, taken_us, reserved_us;
    struct group group;
    struct waiting first;
    bool was_there;
    if (!read_row(parking, start, now_us, &taken_us, &reserved_us, err) || !first_waiting(parking, start->group, &first, err)) return false;
    *begins = first.run_id == run_id && at_least(start->ready_ms * 1000, turn_us(start, taken_us)) <= now_us;
    if (!*begins) return arm(parking, start->group, taken_us, err);
    taken_us = at_least(taken_us, now_us) + interval_us(start);
    return leave(parking, run_id, &group, &was_there, err) && write_row(parking, start->group, taken_us, at_least(reserved_us, taken_us), err) &&
           arm(parking, start->group, taken_us, err);
}

bool bw_rates_ended(struct bw_parking *parking, int64_t run_id, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, find_rate);
    struct group group;
    bool was_there, has_row;
    if (!parking->has_delayed) return true;
    if (!leave(parking, run_id, &group, &was_there, err)) return false;
    if (!was_there) return true;
    bw_sql_bind_blob(statement, 1, group.bytes, sizeof group.bytes);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    int64_t taken_us = has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return arm(parking, group.bytes, taken_us, err);
}
