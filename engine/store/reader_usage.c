#include "store/reader_sql.h"
#include "store/usage.h"

static int64_t number_or_none(sqlite3_stmt *row, int index)
{
    return sqlite3_column_type(row, index) == SQLITE_NULL ? -1 : sqlite3_column_int64(row, index);
}

bool bw_reader_usage_of_run(struct bw_reader *reader, struct bw_uid run, bw_usage_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, usage_of_run);
    bw_reader_begin(reader);
    bw_sql_bind_blob(row, 1, run.bytes, sizeof run.bytes);
    for (bool has_row;;) {
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) return true;
        const struct bw_usage_row usage = {.run = bw_sql_column_uid(row, 0),
                                           .workflow = bw_sql_column(row, 1),
                                           .path = bw_sql_column(row, 2),
                                           .attempt = (uint32_t)sqlite3_column_int64(row, 3),
                                           .at_ms = sqlite3_column_int64(row, 4),
                                           .has_ended = sqlite3_column_int(row, 5) == 2,
                                           .is_heard = sqlite3_column_int(row, 5) == 3,
                                           .provider = bw_sql_column(row, 6),
                                           .model = bw_sql_column(row, 7),
                                           .numbers = {.input = sqlite3_column_int64(row, 8),
                                                       .output = sqlite3_column_int64(row, 9),
                                                       .cached = sqlite3_column_int64(row, 10),
                                                       .cost = number_or_none(row, 11),
                                                       .first_ms = number_or_none(row, 12),
                                                       .took_ms = sqlite3_column_int64(row, 13)}};
        if (!visit(arg, &usage)) break;
    }
    sqlite3_reset(row);
    return true;
}

/* From the column of `calls` on. */
static void read_sum(sqlite3_stmt *row, int from, struct bw_usage_sum *sum)
{
    sum->calls = sqlite3_column_int64(row, from);
    sum->open = sqlite3_column_int64(row, from + 1);
    sum->unpriced = sqlite3_column_int64(row, from + 2);
    sum->numbers = (struct bw_usage_numbers){.input = sqlite3_column_int64(row, from + 3),
                                             .output = sqlite3_column_int64(row, from + 4),
                                             .cached = sqlite3_column_int64(row, from + 5),
                                             .cost = sqlite3_column_int64(row, from + 6),
                                             .first_ms = -1,
                                             .took_ms = sqlite3_column_int64(row, from + 7)};
}

bool bw_reader_usage_of_root(struct bw_reader *reader, struct bw_uid run, struct bw_usage_sum *sum, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, usage_of_root);
    bool has_row;
    bw_reader_begin(reader);
    *sum = (struct bw_usage_sum){0};
    bw_sql_bind_blob(row, 1, run.bytes, sizeof run.bytes);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (has_row) read_sum(row, 0, sum);
    sqlite3_reset(row);
    return true;
}

bool bw_reader_usage_days(struct bw_reader *reader, int64_t from_day, bw_usage_sum_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, usage_days);
    bw_reader_begin(reader);
    bw_sql_bind_int(row, 1, from_day);
    for (bool has_row;;) {
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_usage_sum sum = {.day = sqlite3_column_int64(row, 0),
                                   .workflow = bw_sql_column(row, 1),
                                   .provider = bw_sql_column(row, 2),
                                   .model = bw_sql_column(row, 3)};
        read_sum(row, 4, &sum);
        if (!visit(arg, &sum)) break;
    }
    sqlite3_reset(row);
    return true;
}
