#include "store/usages.h"

enum { STATE_OPEN = 1, STATE_SETTLED = 2, STATE_HEARD = 3 }; /* HEARD: it has ended, and its step's row does not say so yet */

/* ---- may it be made? ---- */

static sqlite3_stmt *ask_sum(const struct bw_write_statements *sql, const struct bw_usage_wish *wish, const struct bw_uid *root,
                             enum bw_usage_scope scope)
{
    sqlite3_stmt *row = NULL;
    switch (scope) {
    case BW_USAGE_STEP:
        row = BW_WRITE(sql, usage_of_step);
        bw_sql_bind_blob(row, 1, wish->run.bytes, sizeof wish->run.bytes);
        bw_sql_bind_text(row, 2, wish->path);
        break;
    case BW_USAGE_RUN:
        row = BW_WRITE(sql, usage_of_run);
        bw_sql_bind_blob(row, 1, root->bytes, sizeof root->bytes);
        break;
    case BW_USAGE_WORKFLOW:
        row = BW_WRITE(sql, usage_of_workflow);
        bw_sql_bind_int(row, 1, wish->at_ms / BW_USAGE_DAY_MS);
        bw_sql_bind_text(row, 2, wish->workflow);
        break;
    case BW_USAGE_DAY:
        row = BW_WRITE(sql, usage_of_day);
        bw_sql_bind_int(row, 1, wish->at_ms / BW_USAGE_DAY_MS);
        break;
    }
    return row;
}

/* The time of a call is known behind it: one may begin as long as there is some left. */
static bool exceeds(const struct bw_usage_wish *wish, enum bw_usage_measure measure, int64_t used, int64_t most)
{
    const int64_t wanted[BW_USAGE_MEASURES] = {1, wish->numbers.input + wish->numbers.output, wish->numbers.cost, 0};
    if (measure == BW_USAGE_MS) return used >= most;
    return wanted[measure] > most - used;
}

static bool check(const struct bw_write_statements *sql, struct bw_usage_wish *wish, const struct bw_uid *root, const struct bw_usage_budget *budget,
                  struct bw_error *err)
{
    sqlite3_stmt *row = ask_sum(sql, wish, root, budget->scope);
    int64_t used[BW_USAGE_MEASURES] = {0};
    bool has_row;
    if (!bw_sql_next(row, &has_row, err)) return false;
    for (int i = 0; has_row && i < BW_USAGE_MEASURES; i++) used[i] = sqlite3_column_int64(row, i);
    sqlite3_reset(row);
    for (int i = 0; i < BW_USAGE_MEASURES && !wish->is_refused; i++) {
        if (budget->most[i] < 0) continue;
        wish->is_unpriced = i == BW_USAGE_COST && wish->numbers.cost < 0;
        wish->is_refused = wish->is_unpriced || exceeds(wish, i, used[i], budget->most[i]);
        wish->budget = *budget;
        wish->measure = (enum bw_usage_measure)i;
        wish->used = used[i];
    }
    return true;
}

/* ---- rows and sums ---- */

static void bind_cost(sqlite3_stmt *statement, int index, int64_t cost)
{
    if (cost < 0)
        sqlite3_bind_null(statement, index);
    else
        bw_sql_bind_int(statement, index, cost);
}

struct change { /* of the sums of a day */
    struct bw_slice workflow, provider, model;
    int64_t day, calls, open, unpriced, input, output, cached, cost, took_ms;
};

static bool add_to_day(const struct bw_write_statements *sql, const struct change *change, struct bw_error *err)
{
    const int64_t numbers[] = {change->calls,  change->open,   change->unpriced, change->input,
                               change->output, change->cached, change->cost,     change->took_ms};
    sqlite3_stmt *put = BW_WRITE(sql, add_usage_day);
    bw_sql_bind_int(put, 1, change->day);
    bw_sql_bind_text(put, 2, change->workflow);
    bw_sql_bind_text(put, 3, change->provider);
    bw_sql_bind_text(put, 4, change->model);
    for (int i = 0; i < 8; i++) bw_sql_bind_int(put, 5 + i, numbers[i]);
    return bw_sql_run(put, err);
}

/* A run without a row was started by an event: it is its own root. */
static bool find_root(const struct bw_write_statements *sql, struct bw_uid run, struct bw_uid *root, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(sql, usage_root);
    bool has_row;
    *root = run;
    bw_sql_bind_blob(row, 1, run.bytes, sizeof run.bytes);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (has_row) *root = bw_sql_column_uid(row, 0);
    sqlite3_reset(row);
    return true;
}

static bool open_call(struct bw_write_statements *sql, struct bw_usage_wish *wish, struct bw_error *err)
{
    struct bw_uid root;
    sqlite3_stmt *put = BW_WRITE(sql, put_usage), *spare = BW_WRITE(sql, delete_usage_days);
    wish->is_refused = wish->is_unpriced = false; /* the transaction may be tried again */
    if (!find_root(sql, wish->run, &root, err)) return false;
    for (size_t i = 0; i < wish->budget_count && !wish->is_refused; i++)
        if (!check(sql, wish, &root, &wish->budgets[i], err)) return false;
    if (wish->is_refused) return true;
    bw_sql_bind_blob(put, 1, wish->run.bytes, sizeof wish->run.bytes);
    bw_sql_bind_blob(put, 2, root.bytes, sizeof root.bytes);
    bw_sql_bind_text(put, 3, wish->workflow);
    bw_sql_bind_text(put, 4, wish->path);
    bw_sql_bind_int(put, 5, wish->attempt);
    bw_sql_bind_int(put, 6, wish->at_ms);
    bw_sql_bind_text(put, 7, wish->provider);
    bw_sql_bind_text(put, 8, wish->model);
    bw_sql_bind_int(put, 9, wish->numbers.input);
    bw_sql_bind_int(put, 10, wish->numbers.output);
    bind_cost(put, 11, wish->numbers.cost);
    if (!bw_sql_run(put, err)) return false;
    wish->id = sqlite3_last_insert_rowid(sqlite3_db_handle(put));
    const struct change change = {.workflow = wish->workflow,
                                  .provider = wish->provider,
                                  .model = wish->model,
                                  .day = wish->at_ms / BW_USAGE_DAY_MS,
                                  .calls = 1,
                                  .open = 1,
                                  .unpriced = wish->numbers.cost < 0,
                                  .input = wish->numbers.input,
                                  .output = wish->numbers.output,
                                  .cost = wish->numbers.cost < 0 ? 0 : wish->numbers.cost};
    bw_sql_bind_int(spare, 1, change.day - BW_USAGE_DAYS_KEPT);
    return bw_sql_run(spare, err) && add_to_day(sql, &change, err);
}

/* A call that is in another state, or whose run is gone: *row is NULL, and nothing is to be changed. Else the caller resets *row when the change was
 * written, whose texts are the row's; its sums are those of the day on which the call began. */
static bool find_call(const struct bw_write_statements *sql, struct bw_uid run, int64_t id, int state, sqlite3_stmt **row, struct change *change,
                      struct bw_error *err)
{
    sqlite3_stmt *found = BW_WRITE(sql, find_usage);
    bool has_row;
    *row = NULL;
    bw_sql_bind_int(found, 1, id);
    bw_sql_bind_blob(found, 2, run.bytes, sizeof run.bytes);
    bw_sql_bind_int(found, 3, state);
    if (!bw_sql_next(found, &has_row, err)) return false;
    if (!has_row) return true;
    *change = (struct change){.workflow = bw_sql_column(found, 1),
                              .provider = bw_sql_column(found, 2),
                              .model = bw_sql_column(found, 3),
                              .day = sqlite3_column_int64(found, 0) / BW_USAGE_DAY_MS};
    *row = found;
    return true;
}

static bool end_call(struct bw_write_statements *sql, const struct bw_usage_wish *wish, struct bw_error *err)
{
    const struct bw_usage_numbers *numbers = &wish->numbers;
    sqlite3_stmt *row, *end = BW_WRITE(sql, end_usage);
    struct change change;
    if (!find_call(sql, wish->run, wish->id, STATE_OPEN, &row, &change, err)) return false;
    if (!row) return true;
    bool was_unpriced = sqlite3_column_type(row, 6) == SQLITE_NULL;
    change.open = wish->is_final ? -1 : 0;
    change.unpriced = (numbers->cost < 0) - was_unpriced;
    change.input = numbers->input - sqlite3_column_int64(row, 4);
    change.output = numbers->output - sqlite3_column_int64(row, 5);
    change.cached = numbers->cached;
    change.cost = (numbers->cost < 0 ? 0 : numbers->cost) - sqlite3_column_int64(row, 6);
    change.took_ms = numbers->took_ms;
    bool good = add_to_day(sql, &change, err);
    sqlite3_reset(row); /* its texts were bound until now */
    if (!good) return false;
    bw_sql_bind_int(end, 1, wish->id);
    bw_sql_bind_int(end, 2, numbers->input);
    bw_sql_bind_int(end, 3, numbers->output);
    bw_sql_bind_int(end, 4, numbers->cached);
    bind_cost(end, 5, numbers->cost);
    bind_cost(end, 6, numbers->first_ms);
    bw_sql_bind_int(end, 7, numbers->took_ms);
    bw_sql_bind_int(end, 8, wish->is_final ? STATE_SETTLED : STATE_HEARD);
    return bw_sql_run(end, err);
}

static bool settle_call(struct bw_write_statements *sql, struct bw_uid run, int64_t id, struct bw_error *err)
{
    sqlite3_stmt *row, *settle = BW_WRITE(sql, settle_usage);
    struct change change;
    if (!find_call(sql, run, id, STATE_HEARD, &row, &change, err)) return false;
    if (!row) return true;
    change.open = -1;
    bool good = add_to_day(sql, &change, err);
    sqlite3_reset(row); /* its texts were bound until now */
    bw_sql_bind_int(settle, 1, id);
    return good && bw_sql_run(settle, err);
}

bool bw_usage_settle(struct bw_write_statements *sql, struct bw_uid run, const int64_t *calls, size_t count, struct bw_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!settle_call(sql, run, calls[i], err)) return false;
    return true;
}

bool bw_usage_apply(struct bw_write_statements *sql, struct bw_usage_wish *wish, struct bw_error *err)
{
    return wish->opens ? open_call(sql, wish, err) : end_call(sql, wish, err);
}
