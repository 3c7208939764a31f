#include "store/crash_writes.h"
#include "base/crash_point.h"
#include <stddef.h>

#ifdef BELLWIRE_TEST_HOOKS
/* SQLite calls a file through a table of functions. Both files get a copy of theirs with our functions in it; there is one writer in a process that
 * has crash points, so one original is enough. */
static const sqlite3_io_methods *database, *wal;
static sqlite3_io_methods watched_database, watched_log;

static int write_page(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset)
{
    BW_CRASH_POINT(STORE_MID_CHECKPOINT);
    return database->xWrite(file, bytes, count, offset);
}

static int write_log(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset)
{
    BW_CRASH_POINT(STORE_MID_COMMIT);
    return wal->xWrite(file, bytes, count, offset);
}

static int sync_log(sqlite3_file *file, int flags)
{
    BW_CRASH_POINT(STORE_BEFORE_SYNC);
    return wal->xSync(file, flags);
}

static sqlite3_file *file_of(sqlite3 *db, int which)
{
    sqlite3_file *file = NULL;
    return sqlite3_file_control(db, "main", which, &file) == SQLITE_OK && file && file->pMethods ? file : NULL;
}

void bw_crash_writes_watch(sqlite3 *db)
{
    if (!bw_crash_point_is_armed()) return; /* a test may have tables of its own */
    sqlite3_file *file = file_of(db, SQLITE_FCNTL_FILE_POINTER), *log_file = file_of(db, SQLITE_FCNTL_JOURNAL_POINTER);
    if (!file || !log_file || database) return; /* in memory; or a second one */
    database = file->pMethods;
    watched_database = *database;
    watched_database.xWrite = write_page;
    file->pMethods = &watched_database;
    wal = log_file->pMethods;
    watched_log = *wal;
    watched_log.xWrite = write_log;
    watched_log.xSync = sync_log;
    log_file->pMethods = &watched_log;
}
#endif
