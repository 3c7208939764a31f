#include "store/write_sql.h"

static const char *const names[] = {
#define NAME(name) #name,
    BW_WRITE_STATEMENTS(NAME)
#undef NAME
};

bool bw_write_open(struct bw_write_statements *sql, sqlite3 *db, struct bw_error *err)
{
    sql->all = (struct bw_statements){.db = db, .file = "write", .names = names, .count = BW_WRITE_COUNT, .prepared = sql->prepared};
    return bw_sql_prepare(&sql->all, BW_WRITE_begin, err) && bw_sql_prepare(&sql->all, BW_WRITE_commit, err) &&
           bw_sql_prepare(&sql->all, BW_WRITE_rollback, err);
}

void bw_write_close(struct bw_write_statements *sql)
{
    bw_sql_finalize(&sql->all);
}
