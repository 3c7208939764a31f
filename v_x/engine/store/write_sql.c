#include "store/write_sql.h"

static const char *const names[] = {
#define NAME(name) #name,
    BW_WRITE_STATEMENTS(NAME)
#undef NAME
};
#define COUNT (sizeof names / sizeof *names)
_Static_assert(sizeof(struct bw_write_statements) == COUNT * sizeof(sqlite3_stmt *), "the struct is an array of statements with names");

bool bw_write_prepare(sqlite3 *db, struct bw_write_statements *sql, struct bw_error *err)
{
    return bw_sql_prepare(db, "write", names, (sqlite3_stmt **)sql, COUNT, err);
}

void bw_write_finalize(struct bw_write_statements *sql)
{
    bw_sql_finalize((sqlite3_stmt **)sql, COUNT);
}
