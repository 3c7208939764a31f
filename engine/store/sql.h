/* sql.h: the small layer between this room and SQLite's C interface: named statements, binding of slices, and what a failure means.
 *
 * A connection and its statements belong to one thread. Bound bytes are borrowed (SQLITE_STATIC): they must live until the statement was
 * run. Failures come as errors with one of four codes, by what can be done about them:
 *   "store.full"    the disk is full: this transaction is lost, a later one may succeed
 *   "store.failed"  I/O error, corruption: nothing may be written any more, the process must stop and recover at its next start
 *   "store.busy"    somebody else holds the file; "store.slow_read" a reader was cut by its deadline
 *   "store.refused" this statement with these values: constraint, too big, no memory */
#ifndef BW_STORE_SQL_H
#define BW_STORE_SQL_H
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define BW_STORE_DATABASE "bellwire.db"

/* The statements of one embedded file on one connection. Each is prepared when it is asked for first: a command that looks at one table, and an
 * engine that starts, use few of them. Fill in all but prepared[], which is zero; bw_sql_finalize() before the connection is closed. */
struct bw_statements {
    sqlite3 *db;
    const char *file;         /* of schema/, without its ending */
    const char *const *names; /* count of them */
    size_t count;
    sqlite3_stmt **prepared; /* count of them; NULL: not yet */
};
/* NULL: it cannot be prepared. Then nothing is bound, and bw_sql_run() and bw_sql_next() fail and say why, in the thread that has asked. */
sqlite3_stmt *bw_sql_statement(const struct bw_statements *all, size_t index);
bool bw_sql_prepare(const struct bw_statements *all, size_t index, struct bw_error *err); /* now; the error has its place in the file */
void bw_sql_finalize(const struct bw_statements *all);

bool bw_sql_fail(sqlite3 *db, struct bw_error *err); /* err from the connection's last failure; always false */
bool bw_sql_exec(sqlite3 *db, const char *text, struct bw_error *err);
bool bw_sql_integer(sqlite3 *db, const char *text, int64_t *out, struct bw_error *err); /* the first column of the first row */
bool bw_sql_run(sqlite3_stmt *statement, struct bw_error *err);                         /* for statements without rows: steps and resets */
/* One more row? *has_row false at the end; the statement is reset then and after a failure, not after a row. */
bool bw_sql_next(sqlite3_stmt *statement, bool *has_row, struct bw_error *err);

static inline void bw_sql_bind_int(sqlite3_stmt *statement, int index, int64_t value)
{
    sqlite3_bind_int64(statement, index, value);
}
static inline void bw_sql_bind_blob(sqlite3_stmt *statement, int index, const void *bytes, size_t len)
{
    sqlite3_bind_blob64(statement, index, bytes && len ? bytes : "", len, SQLITE_STATIC);
}
static inline void bw_sql_bind_text(sqlite3_stmt *statement, int index, struct bw_slice text)
{
    sqlite3_bind_text64(statement, index, text.ptr ? text.ptr : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}
static inline void bw_sql_bind_text_or_null(sqlite3_stmt *statement, int index, struct bw_slice text) /* empty = NULL */
{
    if (text.len)
        bw_sql_bind_text(statement, index, text);
    else
        sqlite3_bind_null(statement, index);
}
static inline void bw_sql_bind_blob_or_null(sqlite3_stmt *statement, int index, struct bw_slice bytes)
{
    if (bytes.len)
        bw_sql_bind_blob(statement, index, bytes.ptr, bytes.len);
    else
        sqlite3_bind_null(statement, index);
}
struct bw_slice bw_sql_column(sqlite3_stmt *statement, int index);   /* text or blob, borrowed until the next step; NULL = empty */
struct bw_uid bw_sql_column_uid(sqlite3_stmt *statement, int index); /* anything but 16 bytes = zero */
#endif
