#include "store/retention.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/units.h"
#include "store/letters.h"

#define ROWS_AT_ONCE 500
#define SHARE 50 /* a slice that took t keeps the next one 50 t away while others wait */
#define AGES_PER_PASS 100
#define PASS_LEAST_US 1000000LL
#define PASS_MOST_US (3600 * 1000000LL)
#define RETRY_US (10 * 1000000LL)
#define EXHAUSTED_RETRY_US 1000000LL
#define DAY_MS (24 * 3600 * 1000LL)

struct row { /* the columns of the walk_… statements */
    int64_t id, at_ms;
    int state; /* of a run; of a kept key: is it merged? */
    bool is_needed;
    int64_t resolved_ms; /* of a failed run: when somebody was done with it */
};
enum verdict { OLD, KEPT, YOUNG };
struct bw_retention_walk {
    bool is_sweep; /* of revisions: not of rows */
    bool is_by_workflow;
    bool is_paced; /* not in each pass, but as often as its age (`age`: offset in struct bw_retention_config) is worth it */
    size_t age;
    bool is_end;                       /* of the table */
    enum bw_write_statement statement; /* its rows */
    enum verdict (*judge)(const struct bw_retention *retention, const struct row *row, int64_t now_ms);
    bool (*remove)(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err);
};

/* ---- what may go ---- */

/* A row from far ahead was written by a clock that was wrong: it says nothing about the rows behind it. */
static enum verdict by_age(int64_t at_ms, int64_t age_ms, int64_t now_ms)
{
    if (!age_ms) return YOUNG;
    return at_ms > now_ms + DAY_MS ? KEPT : at_ms > now_ms - age_ms ? YOUNG : OLD;
}

static enum verdict judge_delivery(const struct bw_retention *retention, const struct row *row, int64_t now_ms)
{
    return by_age(row->at_ms, retention->keep.deliveries_ms, now_ms);
}

/* semantics.md 2.5: a failed run that nobody has done anything about counts as discarded after 180 days. */
static int64_t resolved_at(const struct row *row)
{
    return row->resolved_ms ? row->resolved_ms : row->at_ms + BW_DISCARDED_AFTER_MS;
}

static int64_t shortest(int64_t one_ms, int64_t other_ms) /* 0 = for ever */
{
    return one_ms && (!other_ms || one_ms < other_ms) ? one_ms : other_ms;
}

static enum verdict judge_run(const struct bw_retention *retention, const struct row *row, int64_t now_ms)
{
    int64_t ok_ms = retention->ok_ms, failed_ms = retention->failed_ms, least_ms = shortest(ok_ms, failed_ms);
    if (by_age(row->at_ms, least_ms, now_ms) != OLD) return by_age(row->at_ms, least_ms, now_ms);
    bool is_failed = row->state == BW_RUN_FAILED;
    bool is_old = by_age(is_failed ? resolved_at(row) : row->at_ms, is_failed ? failed_ms : ok_ms, now_ms) == OLD;
    return is_old && !row->is_needed ? OLD : KEPT;
}

static enum verdict judge_event(const struct bw_retention *retention, const struct row *row, int64_t now_ms)
{
    enum verdict verdict = by_age(row->at_ms, retention->keep.events_ms, now_ms);
    return verdict == OLD && row->is_needed ? KEPT : verdict;
}

static enum verdict judge_key(const struct bw_retention *retention, const struct row *row, int64_t now_ms)
{
    (void)retention;
    return row->state || row->at_ms <= now_ms ? OLD : KEPT;
}

static enum verdict always(const struct bw_retention *retention, const struct row *row, int64_t now_ms)
{
    (void)retention, (void)now_ms;
    return row->is_needed ? KEPT : OLD;
}

/* *may_go false: a run of the event is active, is in the state `spared`, or has failed and is not resolved. *run: one of them, 0 = none is left. */
static bool look_at_runs(sqlite3_stmt *statement, int64_t event_id, int spared, int64_t now_ms, bool *may_go, int64_t *run, struct bw_error *err)
{
    *may_go = true;
    *run = 0;
    bw_sql_bind_int(statement, 1, event_id);
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        int state = sqlite3_column_int(statement, 1);
        *run = sqlite3_column_int64(statement, 0);
        const struct row row = {.at_ms = sqlite3_column_int64(statement, 2), .resolved_ms = sqlite3_column_int64(statement, 3)};
        if (state < BW_RUN_SUCCEEDED || state == spared || (state == BW_RUN_FAILED && resolved_at(&row) > now_ms)) *may_go = false;
    }
}

static bool remove_with_runs(struct bw_removal *removal, int64_t id, int spared, enum bw_removal_end *end, struct bw_error *err)
{
    bool may_go;
    int64_t run;
    for (;;) {
        *end = BW_REMOVAL_STAYS;
        if (!look_at_runs(BW_WRITE(removal->sql, event_runs), id, spared, removal->now_ms, &may_go, &run, err)) return false;
        if (!may_go) return true;
        if (!run) return bw_remove_event(removal, id, end, err);
        if (!bw_remove_run(removal, run, end, err)) return false;
        if (*end == BW_REMOVAL_GONE && bw_removal_is_spent(removal)) *end = BW_REMOVAL_PARTLY;
        if (*end != BW_REMOVAL_GONE) return true;
    }
}

static bool remove_but_failed(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err)
{
    return remove_with_runs(removal, id, BW_RUN_FAILED, end, err);
}

static bool remove_ended(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err)
{
    return remove_with_runs(removal, id, 0, end, err);
}

static bool remove_without_runs(struct bw_removal *removal, int64_t id, enum bw_removal_end *end, struct bw_error *err)
{
    bool may_go;
    int64_t run;
    *end = BW_REMOVAL_STAYS;
    if (!look_at_runs(BW_WRITE(removal->sql, event_runs), id, 0, removal->now_ms, &may_go, &run, err)) return false;
    return run || bw_remove_event(removal, id, end, err);
}

#define PACED(member) .is_paced = true, .age = offsetof(struct bw_retention_config, member)
static const struct bw_retention_walk walks_by_age[] = {
    {PACED(deliveries_ms), .statement = BW_WRITE_walk_deliveries, .judge = judge_delivery, .remove = bw_remove_delivery},
    {.is_by_workflow = true, .statement = BW_WRITE_walk_runs, .judge = judge_run, .remove = bw_remove_run},
    {PACED(events_ms), .statement = BW_WRITE_walk_events, .judge = judge_event, .remove = remove_without_runs},
    {.statement = BW_WRITE_walk_kept_keys, .judge = judge_key, .remove = bw_remove_kept_key},
    {PACED(events_ms), .is_sweep = true},
    {.is_end = true},
};
static const struct bw_retention_walk walks_by_size[] = {
    {.statement = BW_WRITE_walk_deliveries, .judge = always, .remove = bw_remove_delivery},
    {.statement = BW_WRITE_walk_events, .judge = always, .remove = remove_but_failed},
    {.statement = BW_WRITE_walk_events, .judge = always, .remove = remove_ended},
    {.is_end = true},
};

/* ---- a pass ---- */

static int64_t pace_us(int64_t age_ms)
{
    int64_t every_us = age_ms * 1000 / AGES_PER_PASS;
    return every_us < PASS_LEAST_US ? PASS_LEAST_US : every_us > PASS_MOST_US || !age_ms ? PASS_MOST_US : every_us;
}

/* There is a pass as often as the shortest age wants it. What has a longer one is not walked in each of them: what stays would be looked at for
 * nothing. In the first pass everything is. */
static bool is_due(const struct bw_retention *retention, int64_t age_ms)
{
    int64_t every_us = pace_us(age_ms);
    return retention->previous_us < 0 || retention->began_us / every_us != retention->previous_us / every_us;
}

/* The shortest of all ages, and with it how often there is a pass. */
static bool read_ages(struct bw_retention *retention, struct bw_error *err)
{
    const struct bw_retention_config *keep = &retention->keep;
    int64_t ages[] = {keep->deliveries_ms, keep->events_ms, keep->succeeded_ms, keep->failed_ms, 0}, least = 0;
    bool has_row;
    if (!bw_sql_next(BW_WRITE(retention->sql, least_age), &has_row, err)) return false;
    if (has_row) ages[4] = sqlite3_column_int64(BW_WRITE(retention->sql, least_age), 0);
    sqlite3_reset(BW_WRITE(retention->sql, least_age));
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++)
        if (ages[i] && (!least || ages[i] < least)) least = ages[i];
    retention->least_ms = least;
    retention->every_us = pace_us(least);
    retention->began_us = -1;
    retention->is_changed = false;
    return true;
}

bool bw_retention_open(struct bw_retention *retention, struct bw_parking *parking, struct bw_deliveries *deliveries, struct bw_error *err)
{
    retention->sql = parking->sql;
    retention->parking = parking;
    retention->deliveries = deliveries;
    return read_ages(retention, err) && bw_sql_integer(retention->sql->all.db, "PRAGMA page_size", &retention->page_bytes, err) &&
           bw_retention_measure(retention, err);
}

void bw_retention_close(struct bw_retention *retention)
{
    bw_revision_sweep_close(&retention->revisions);
    bw_buf_free(&retention->workflow);
}

void bw_retention_changed(struct bw_retention *retention)
{
    retention->is_changed = true;
}

static bool count_pages(sqlite3_stmt *statement, int64_t *count, struct bw_error *err)
{
    bool has_row;
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *count = has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}

/* Also inside a transaction, with what it has freed. */
static bool measure(struct bw_retention *retention, struct bw_error *err)
{
    int64_t pages, free_pages;
    if (!count_pages(BW_WRITE(retention->sql, page_count), &pages, err) || !count_pages(BW_WRITE(retention->sql, free_count), &free_pages, err))
        return false;
    retention->used_bytes = (uint64_t)((pages - free_pages) * retention->page_bytes);
    return true;
}

static bool is_low(const struct bw_retention *retention)
{
    return retention->used_bytes <= retention->keep.max_size_bytes - retention->keep.max_size_bytes / 20;
}

bool bw_retention_measure(struct bw_retention *retention, struct bw_error *err)
{
    if (retention->is_changed) {
        retention->next_pass_us = 0;
        if (!read_ages(retention, err)) return false;
    }
    if (!retention->keep.max_size_bytes) return true;
    if (!measure(retention, err)) return false;
    if (retention->used_bytes > retention->keep.max_size_bytes) retention->is_above_cap = true;
    if (!is_low(retention)) return true;
    if (retention->is_exhausted) bw_log(BW_LOG_INFO, "store.full_no_more", BW_STR("message", "the database is below retention.max_size again"));
    retention->is_above_cap = retention->is_exhausted = false;
    return true;
}

int64_t bw_retention_wait_us(const struct bw_retention *retention, bool is_idle)
{
    int64_t now_us = bw_clock_mono_us(), due_us = is_idle ? 0 : retention->next_slice_us;
    bool is_by_size = retention->is_above_cap && !retention->is_exhausted;
    if (retention->is_off || (retention->keep.max_size_bytes == 0 && retention->least_ms == 0)) return -1;
    if (is_by_size && retention->next_slice_us <= now_us) return 0;
    if (!retention->walk && retention->next_pass_us > due_us) due_us = retention->next_pass_us;
    return due_us > now_us ? due_us - now_us : 0;
}

static bool refusal(const struct bw_retention *retention, struct bw_error *err)
{
    bw_error_set(err, "store.full", "the database has reached retention.max_size (%llu bytes) and all of it is still needed",
                 (unsigned long long)retention->keep.max_size_bytes);
    bw_error_hint(
        err, "raise retention.max_size, let what is waiting end (bellwire runs --state active, or parked), or end what failed: bellwire runs resume, "
             "replay or discard --state failed");
    return true;
}

bool bw_retention_refuses(const struct bw_retention *retention, struct bw_error *err)
{
    return retention->is_exhausted && refusal(retention, err);
}

static const struct bw_retention_walk *next_due(const struct bw_retention *retention, const struct bw_retention_walk *walk)
{
    while (walk->is_paced && !is_due(retention, *(const int64_t *)(const void *)((const char *)&retention->keep + walk->age))) walk++;
    return walk;
}

static void begin_pass(struct bw_retention *retention)
{
    retention->is_by_size = retention->is_above_cap;
    if (!retention->is_by_size) {
        retention->previous_us = retention->began_us;
        retention->began_us = bw_clock_mono_us();
    }
    retention->walk = retention->is_by_size ? walks_by_size : next_due(retention, walks_by_age);
    retention->cursor = 0;
    bw_buf_clear(&retention->workflow);
    retention->removed = (struct bw_removed){0};
    retention->next_pass_us = bw_clock_mono_us() + (retention->is_exhausted ? EXHAUSTED_RETRY_US : retention->every_us);
}

static void end_pass(struct bw_retention *retention)
{
    const struct bw_removed *removed = &retention->removed;
    retention->walk = NULL;
    if (removed->deliveries || removed->runs || removed->events || removed->revisions)
        bw_log(BW_LOG_INFO, "store.retention", BW_STR("by", retention->is_by_size ? "max_size" : "age"), BW_INT("deliveries", removed->deliveries),
               BW_INT("runs", removed->runs), BW_INT("events", removed->events), BW_INT("revisions", removed->revisions));
}

/* A pass by size has looked at everything. */
static void settle_size(struct bw_retention *retention)
{
    struct bw_error err;
    if (retention->used_bytes <= retention->keep.max_size_bytes && !retention->is_exhausted) retention->is_above_cap = false;
    if (!retention->is_above_cap) return;
    retention->next_pass_us = bw_clock_mono_us() + EXHAUSTED_RETRY_US;
    if (!retention->is_exhausted && refusal(retention, &err)) bw_log_error(BW_LOG_WARN, "store.full", &err);
    retention->is_exhausted = true;
}

static bool read_rows(const struct bw_retention *retention, struct row rows[ROWS_AT_ONCE], size_t *count, struct bw_error *err)
{
    sqlite3_stmt *statement = bw_sql_statement(&retention->sql->all, retention->walk->statement);
    bw_sql_bind_int(statement, 1, retention->cursor);
    bw_sql_bind_int(statement, 2, ROWS_AT_ONCE);
    if (retention->walk->is_by_workflow) bw_sql_bind_text(statement, 3, bw_buf_slice(&retention->workflow));
    *count = 0;
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        rows[(*count)++] = (struct row){.id = sqlite3_column_int64(statement, 0),
                                        .at_ms = sqlite3_column_int64(statement, 1),
                                        .state = sqlite3_column_int(statement, 2),
                                        .is_needed = sqlite3_column_int(statement, 3) != 0,
                                        .resolved_ms = sqlite3_column_int64(statement, 4)};
    }
}

/* *cursor moves behind what was looked at; *is_finished: nothing old is behind it. */
static bool walk_on(struct bw_retention *retention, struct bw_removal *removal, int64_t *cursor, bool *is_finished, struct bw_error *err)
{
    struct row rows[ROWS_AT_ONCE];
    size_t count;
    bool has_young = false, has_other = false;
    enum bw_removal_end end;
    *is_finished = false;
    if (!read_rows(retention, rows, &count, err)) return false;
    for (size_t i = 0; i < count; i++) {
        enum verdict verdict = retention->walk->judge(retention, &rows[i], removal->now_ms);
        if (verdict == YOUNG) has_young = true;
        if (verdict == OLD) {
            if (i && bw_removal_is_spent(removal)) return true;
            if (!retention->walk->remove(removal, rows[i].id, &end, err)) return false;
            if (end == BW_REMOVAL_PARTLY) return true;
        }
        if (verdict != YOUNG && rows[i].at_ms <= removal->now_ms + DAY_MS) has_other = true;
        *cursor = rows[i].id;
        if (verdict == OLD && retention->is_by_size && !measure(retention, err)) return false;
        if (retention->is_by_size && is_low(retention)) return true; /* no more than needed */
    }
    *is_finished = count < ROWS_AT_ONCE || (has_young && !has_other);
    return true;
}

/* The one behind the last one, with its ages. *has_one false: there is none. */
static bool take_workflow(struct bw_retention *retention, bool *has_one, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(retention->sql, next_workflow);
    const struct bw_retention_config *keep = &retention->keep;
    bw_sql_bind_text(row, 1, bw_buf_slice(&retention->workflow));
    if (!bw_sql_next(row, has_one, err)) return false;
    if (!*has_one) return true;
    struct bw_buf next = {0};
    bw_buf_append_slice(&next, bw_sql_column(row, 0));
    retention->ok_ms = sqlite3_column_type(row, 1) == SQLITE_NULL ? keep->succeeded_ms : sqlite3_column_int64(row, 1);
    retention->failed_ms = sqlite3_column_type(row, 2) == SQLITE_NULL ? keep->failed_ms : sqlite3_column_int64(row, 2);
    sqlite3_reset(row);
    bw_buf_free(&retention->workflow);
    retention->workflow = next;
    return !next.failed || bw_error_set(err, "memory", "out of memory");
}

static bool take_next_workflow(struct bw_retention *retention, bool *has_one, struct bw_error *err)
{
    do {
        if (!take_workflow(retention, has_one, err)) return false;
    } while (*has_one && !is_due(retention, shortest(retention->ok_ms, retention->failed_ms)));
    return true;
}

/* Each by itself: its runs end in the order of their ids, nearly, and its ages are its own. */
static bool walk_workflows(struct bw_retention *retention, struct bw_removal *removal, int64_t *cursor, bool *is_finished, struct bw_error *err)
{
    bool has_one = retention->workflow.len > 0;
    if (!has_one && !take_next_workflow(retention, &has_one, err)) return false;
    *is_finished = !has_one;
    while (has_one) {
        if (!walk_on(retention, removal, cursor, is_finished, err)) return false;
        if (!*is_finished) return true;
        *cursor = retention->cursor = 0;
        if (!take_next_workflow(retention, &has_one, err)) return false;
        *is_finished = !has_one;
        if (bw_removal_is_spent(removal)) return true;
    }
    return true;
}

static bool walk_slice(struct bw_retention *retention, struct bw_removal *removal, int64_t *cursor, bool *is_finished, struct bw_error *err)
{
    if (retention->walk->is_sweep) return bw_revision_sweep_slice(&retention->revisions, removal, is_finished, err);
    return (retention->walk->is_by_workflow ? walk_workflows : walk_on)(retention, removal, cursor, is_finished, err);
}

static bool commit(struct bw_retention *retention, struct bw_removal *removal, int64_t *cursor, bool *is_finished, struct bw_error *err)
{
    const struct bw_write_statements *sql = retention->sql;
    if (!bw_sql_run(BW_WRITE(sql, begin), err)) return false;
    bool ok = walk_slice(retention, removal, cursor, is_finished, err);
    BW_CRASH_POINT(STORE_BEFORE_REMOVAL);
    if (ok && bw_parking_flush(retention->parking, err) && bw_sql_run(BW_WRITE(sql, commit), err)) {
        BW_CRASH_POINT(STORE_AFTER_REMOVAL);
        bw_parking_committed(retention->parking);
        bw_deliveries_committed(retention->deliveries);
        return true;
    }
    if (!sqlite3_get_autocommit(sql->all.db)) bw_sql_run(BW_WRITE(sql, rollback), NULL);
    bw_parking_rolled_back(retention->parking);
    bw_deliveries_rolled_back(retention->deliveries);
    return false;
}

static void count_in(struct bw_removed *sum, const struct bw_removed *more)
{
    sum->deliveries += more->deliveries;
    sum->runs += more->runs;
    sum->events += more->events;
    sum->revisions += more->revisions;
}

bool bw_retention_slice(struct bw_retention *retention, struct bw_error *err)
{
    struct bw_removal removal;
    bool is_finished = false;
    if (retention->walk && retention->is_above_cap && !retention->is_exhausted && !retention->is_by_size) { /* more urgent */
        end_pass(retention);
        retention->began_us = -1;
    }
    if (!retention->walk) begin_pass(retention);
    int64_t began_us = bw_clock_mono_us(), cursor = retention->cursor;
    bw_removal_begin(&removal, retention->parking, retention->deliveries, bw_clock_wall_ms());
    if (!commit(retention, &removal, &cursor, &is_finished, err) || !bw_retention_measure(retention, err)) {
        retention->walk = NULL;
        retention->began_us = -1;
        retention->next_pass_us = retention->next_slice_us = bw_clock_mono_us() + RETRY_US;
        return false;
    }
    int64_t ended_us = bw_clock_mono_us();
    retention->next_slice_us = retention->is_by_size ? ended_us : ended_us + SHARE * (ended_us - began_us);
    retention->cursor = cursor;
    count_in(&retention->removed, &removal.removed);
    if (retention->is_by_size && !retention->is_above_cap) {
        end_pass(retention);
    } else if (is_finished) {
        retention->walk = next_due(retention, retention->walk + 1);
        retention->cursor = 0;
        if (retention->walk->is_end) {
            bool was_by_size = retention->is_by_size;
            end_pass(retention);
            if (was_by_size) settle_size(retention);
        }
    }
    return true;
}
