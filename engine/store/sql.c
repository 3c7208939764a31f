#include "store/sql.h"
#include "store/sql_texts.h"
#include <stdio.h>
#include <string.h>

static _Thread_local struct bw_error unprepared; /* why bw_sql_statement() has returned NULL last */

bool bw_sql_prepare(const struct bw_statements *all, size_t index, struct bw_error *err)
{
    char file[64];
    int line;
    if (all->prepared[index]) return true;
    const char *text = bw_sql_text(all->file, all->names[index], &line);
    if (text && sqlite3_prepare_v3(all->db, text, -1, SQLITE_PREPARE_PERSISTENT, &all->prepared[index], NULL) == SQLITE_OK) return true;
    snprintf(file, sizeof file, "%s.sql", all->file);
    if (text)
        bw_sql_fail(all->db, err);
    else
        bw_error_set(err, "store.failed", "there is no statement '%s'", all->names[index]);
    bw_error_at(err, file, line, 0);
    return false;
}

sqlite3_stmt *bw_sql_statement(const struct bw_statements *all, size_t index)
{
    if (!all->prepared[index]) bw_sql_prepare(all, index, &unprepared);
    return all->prepared[index];
}

void bw_sql_finalize(const struct bw_statements *all)
{
    for (size_t i = 0; i < all->count; i++) {
        sqlite3_finalize(all->prepared[i]);
        all->prepared[i] = NULL;
    }
}

/* What was to be run is not there. */
static bool fail_unprepared(struct bw_error *err)
{
    if (err) *err = unprepared;
    return false;
}

static const char *code_of(int extended)
{
    if (extended == SQLITE_IOERR_NOMEM) return "store.refused";
    switch (extended & 0xff) {
    case SQLITE_FULL: return "store.full";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "store.busy";
    case SQLITE_INTERRUPT: return "store.slow_read";
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
    case SQLITE_ERROR: return "store.refused";
    default: /* IOERR, CORRUPT, NOTADB, READONLY, CANTOPEN, PERM, … : what is on the disk is not known any more */ return "store.failed";
    }
}

bool bw_sql_fail(sqlite3 *db, struct bw_error *err)
{
    int extended = sqlite3_extended_errcode(db);
    const char *code = code_of(extended);
    bw_error_set(err, code, "SQLite: %s (%d)", sqlite3_errmsg(db), extended);
    if (strcmp(code, "store.full") == 0)
        bw_error_hint(err, "free space on the data folder's disk");
    else if (strcmp(code, "store.slow_read") == 0)
        bw_error_hint(err, "ask for fewer rows or a narrower filter");
    return false;
}

bool bw_sql_exec(sqlite3 *db, const char *text, struct bw_error *err)
{
    return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK || bw_sql_fail(db, err);
}

bool bw_sql_integer(sqlite3 *db, const char *text, int64_t *out, struct bw_error *err)
{
    sqlite3_stmt *statement = NULL;
    *out = 0;
    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK) return bw_sql_fail(db, err);
    int rc = sqlite3_step(statement);
    bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE || bw_sql_fail(db, err);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return ok;
}

bool bw_sql_run(sqlite3_stmt *statement, struct bw_error *err)
{
    if (!statement) return fail_unprepared(err);
    int rc = sqlite3_step(statement);
    bool ok = rc == SQLITE_DONE || rc == SQLITE_ROW || bw_sql_fail(sqlite3_db_handle(statement), err);
    sqlite3_reset(statement);
    return ok;
}

bool bw_sql_next(sqlite3_stmt *statement, bool *has_row, struct bw_error *err)
{
    *has_row = false;
    if (!statement) return fail_unprepared(err);
    int rc = sqlite3_step(statement);
    *has_row = rc == SQLITE_ROW;
    if (*has_row) return true;
    bool ok = rc == SQLITE_DONE || bw_sql_fail(sqlite3_db_handle(statement), err);
    sqlite3_reset(statement);
    return ok;
}

struct bw_slice bw_sql_column(sqlite3_stmt *statement, int index)
{
    const void *bytes = sqlite3_column_blob(statement, index);
    return (struct bw_slice){bytes ? bytes : "", bytes ? (size_t)sqlite3_column_bytes(statement, index) : 0};
}

struct bw_uid bw_sql_column_uid(sqlite3_stmt *statement, int index)
{
    struct bw_uid uid = {{0}};
    struct bw_slice bytes = bw_sql_column(statement, index);
    if (bytes.len == sizeof uid.bytes) memcpy(uid.bytes, bytes.ptr, sizeof uid.bytes);
    return uid;
}
