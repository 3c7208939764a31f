#include "store/database.h"
#include "base/file.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* else every allocation takes one global lock */
    sqlite3_initialize();
    bw_log(BW_LOG_DEBUG, "store.sqlite", BW_STR("version", sqlite3_libversion()));
}

static void configure_once(void)
{
    static pthread_once_t is_configured = PTHREAD_ONCE_INIT;
    pthread_once(&is_configured, configure);
}

/* A file that exists but whose name is lost in a power cut would lose all that was acknowledged since: sync the folder. */
static bool create_file(const char *folder, const char *path, struct bw_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), directory = -1;
    bool ok = false;
    if (fd < 0 && errno == EEXIST) return true;
    if (fd < 0) goto out;
    directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 || fsync(fd) != 0 || fsync(directory) != 0) goto out;
    ok = true;
out:
    if (!ok) bw_error_set(err, "store.folder", "cannot create %s: %s", path, strerror(errno));
    if (directory >= 0) close(directory);
    if (fd >= 0) close(fd);
    return ok;
}

/* SQLite removes the rollback journal of an unfinished creation without syncing the folder, and syncs the folder for a log that it creates, but not
 * for one that is there. A journal that a power cut brings back after commits into such a log would be rolled back into the database and destroy it.
 */
static bool sync_folder(const char *folder, struct bw_error *err)
{
    int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = directory >= 0 && fsync(directory) == 0;
    if (!ok) bw_error_set(err, "store.folder", "cannot sync the data folder %s: %s", folder, strerror(errno));
    if (directory >= 0) close(directory);
    return ok;
}

static sqlite3 *open_file(const char *path, int flags, struct bw_error *err)
{
    sqlite3 *db = NULL;
    configure_once();
    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        if (db)
            bw_sql_fail(db, err);
        else
            bw_error_set(err, "store.refused", "no memory to open %s", path);
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BW_STORE_BUSY_MS);
    return db;
}

/* page_size and auto_vacuum only have effect before the first table. FULL: each commit is synced, which is the promise behind a 202.
 * secure_delete is on in Debian's build and would write freed pages once more. */
static const char writer_pragmas[] = "PRAGMA page_size = 4096;"
                                     "PRAGMA auto_vacuum = INCREMENTAL;"
                                     "PRAGMA journal_mode = WAL;"
                                     "PRAGMA synchronous = FULL;"
                                     "PRAGMA wal_autocheckpoint = 0;"
                                     "PRAGMA secure_delete = OFF;"
                                     "PRAGMA trusted_schema = OFF;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -4096;"
                                     "PRAGMA mmap_size = 0;";
static const char reader_pragmas[] = "PRAGMA query_only = ON;"
                                     "PRAGMA trusted_schema = OFF;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -4096;";

sqlite3 *bw_database_open_writer(const char *folder, struct bw_error *err)
{
    char *path = folder ? bw_file_join(folder, BW_STORE_DATABASE) : NULL;
    sqlite3 *db = NULL;
    if (folder && !path) {
        bw_error_set(err, "store.refused", "no memory to open %s", folder);
        return NULL;
    }
    if (folder && !create_file(folder, path, err)) goto out;
    db = open_file(folder ? path : ":memory:", SQLITE_OPEN_READWRITE, err);
    if (db && (!bw_sql_exec(db, writer_pragmas, err) || (folder && !sync_folder(folder, err)))) {
        sqlite3_close(db);
        db = NULL;
    }
    if (!db) bw_error_at(err, path, 0, 0);
out:
    free(path);
    return db;
}

sqlite3 *bw_database_open_reader(const char *folder, struct bw_error *err)
{
    char *path = folder ? bw_file_join(folder, BW_STORE_DATABASE) : NULL;
    sqlite3 *db = NULL;
    if (!path || access(path, F_OK) != 0) {
        bw_error_set(err, "store.missing", "there is no store in %s yet", folder ? folder : "memory");
        bw_error_hint(err, "run: bellwire serve, or name the data folder");
        goto out;
    }
    db = open_file(path, SQLITE_OPEN_READONLY, err);
    if (db && !bw_sql_exec(db, reader_pragmas, err)) {
        sqlite3_close(db);
        db = NULL;
    }
    if (db) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (!db) bw_error_at(err, path, 0, 0);
out:
    free(path);
    return db;
}

void bw_database_close(sqlite3 *db, bool checkpoint)
{
    if (!checkpoint) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
}
