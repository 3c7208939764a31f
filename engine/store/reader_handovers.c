#include "store/handover.h"
#include "store/reader_sql.h"

bool bw_reader_windows(struct bw_reader *reader, bw_window_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, windows);
    bw_reader_begin(reader);
    for (bool has_row;;) {
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) return true;
        const struct bw_window window = {.source = bw_sql_column(row, 0), .actor = bw_sql_column(row, 2), .until_ms = sqlite3_column_int64(row, 1)};
        if (!visit(arg, &window)) break;
    }
    sqlite3_reset(row);
    return true;
}

bool bw_reader_learnt(struct bw_reader *reader, bw_learnt_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *row = BW_READ(reader, learnt);
    bw_reader_begin(reader);
    for (bool has_row;;) {
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) return true;
        const struct bw_learnt_secret secret = {.source = bw_sql_column(row, 0),
                                                .secret = bw_sql_column(row, 1),
                                                .value = bw_sql_column(row, 2),
                                                .remote = bw_sql_column(row, 4),
                                                .at_ms = sqlite3_column_int64(row, 3)};
        if (!visit(arg, &secret)) break;
    }
    sqlite3_reset(row);
    return true;
}
