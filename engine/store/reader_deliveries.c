#include "store/reader_sql.h"

/* The columns of the delivery queries in schema/read.sql, by position. */
static void read_delivery(sqlite3_stmt *row, struct bw_delivery_row *out)
{
    *out = (struct bw_delivery_row){
        .id = sqlite3_column_int64(row, 0),
        .delivery = {.at_ms = sqlite3_column_int64(row, 1),
                     .source = bw_sql_column(row, 2),
                     .status = (unsigned)sqlite3_column_int(row, 3),
                     .outcome = (enum bw_outcome)sqlite3_column_int(row, 4),
                     .bytes = (uint32_t)sqlite3_column_int64(row, 5),
                     .took_us = (uint32_t)sqlite3_column_int64(row, 6),
                     .provider_id = bw_sql_column(row, 8),
                     .remote = bw_sql_column(row, 9),
                     .detail = bw_sql_column(row, 10)},
        .times = (uint32_t)sqlite3_column_int64(row, 7),
        .event = bw_sql_column_uid(row, 11),
    };
}

static bool visit_all(sqlite3_stmt *statement, bw_delivery_visit *visit, void *arg, size_t *count, struct bw_error *err)
{
    for (bool has_row;; ++*count) {
        struct bw_delivery_row row;
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        read_delivery(statement, &row);
        if (!visit(arg, &row)) break;
    }
    ++*count;
    sqlite3_reset(statement);
    return true;
}

bool bw_reader_deliveries(struct bw_reader *reader, struct bw_slice source, bool only_refused, int64_t before_id, size_t limit,
                          bw_delivery_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = only_refused && source.len ? BW_READ(reader, refused_of_source) : BW_READ(reader, deliveries);
    size_t count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, bw_reader_below(before_id));
    bw_sql_bind_text_or_null(statement, 2, source);
    bw_sql_bind_int(statement, 3, only_refused);
    bw_sql_bind_int(statement, 4, bw_reader_limit(limit));
    return visit_all(statement, visit, arg, &count, err);
}

bool bw_reader_delivery(struct bw_reader *reader, int64_t id, bw_delivery_visit *visit, void *arg, bool *found, struct bw_error *err)
{
    size_t count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_int(BW_READ(reader, delivery), 1, id);
    bool good = visit_all(BW_READ(reader, delivery), visit, arg, &count, err);
    *found = count > 0;
    return good;
}

bool bw_reader_duplicates(struct bw_reader *reader, int64_t event_id, size_t limit, bw_delivery_visit *visit, void *arg, struct bw_error *err)
{
    size_t count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_int(BW_READ(reader, duplicates), 1, event_id);
    bw_sql_bind_int(BW_READ(reader, duplicates), 2, bw_reader_limit(limit));
    return visit_all(BW_READ(reader, duplicates), visit, arg, &count, err);
}
