#include "store/reader_sql.h"

bool bw_reader_context(struct bw_reader *reader, int64_t join, bw_context_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, join_context);
    bool has_row;
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, join);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (has_row) visit(arg, bw_sql_column(statement, 0));
    sqlite3_reset(statement);
    return true;
}

bool bw_reader_child_ends(struct bw_reader *reader, int64_t join, bw_child_end_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, child_ends);
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, join);
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        const struct bw_child_end end = {.item = (uint32_t)sqlite3_column_int64(statement, 0),
                                         .run = bw_sql_column_uid(statement, 1),
                                         .state = (enum bw_run_state)sqlite3_column_int(statement, 2),
                                         .output = bw_sql_column(statement, 3),
                                         .error = bw_sql_column(statement, 4)};
        if (!visit(arg, &end)) break;
    }
    sqlite3_reset(statement);
    return true;
}
