#include "store/migrate.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "store/sql.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static int version_of(const char *name)
{
    for (int i = 0; i < 3; i++)
        if (!isdigit((unsigned char)name[i])) return 0;
    return atoi(name);
}

int bw_migrate_version(const struct bw_embedded *files)
{
    int newest = 0;
    for (; files->name; files++)
        if (version_of(files->name) > newest) newest = version_of(files->name);
    return newest;
}

/* *found: the file's version, 0 for an empty file. */
static bool look_at_file(sqlite3 *db, int newest, int *found, struct bw_error *err)
{
    int64_t version, application, tables;
    if (!bw_sql_integer(db, "PRAGMA user_version", &version, err) || !bw_sql_integer(db, "PRAGMA application_id", &application, err) ||
        !bw_sql_integer(db, "SELECT count(*) FROM sqlite_schema", &tables, err))
        return false;
    if (application != BW_STORE_APPLICATION_ID && (application != 0 || version != 0 || tables != 0)) {
        bw_error_set(err, "store.foreign", "%s is a database of some other program", sqlite3_db_filename(db, "main"));
        bw_error_hint(err, "give Bellwire a data folder of its own (data: in bellwire.yaml)");
        return false;
    }
    if (version > newest) {
        bw_error_set(err, "store.newer", "the store has schema version %lld, this program knows versions up to %d", (long long)version, newest);
        bw_error_hint(err, "use the program that wrote it or a newer one, or a backup from before the upgrade");
        return false;
    }
    *found = (int)version;
    return true;
}

static bool apply(sqlite3 *db, const struct bw_embedded *files, int version, struct bw_error *err)
{
    for (; files->name; files++)
        if (version_of(files->name) == version) return bw_sql_exec(db, files->data, err);
    return bw_error_set(err, "store.migration", "no migration leads to schema version %d", version);
}

bool bw_migrate(sqlite3 *db, const struct bw_embedded *files, struct bw_error *err)
{
    int newest = bw_migrate_version(files), found;
    char text[96];
    if (!look_at_file(db, newest, &found, err)) return false;
    if (found == newest) return true;
    if (!bw_sql_exec(db, "BEGIN IMMEDIATE", err)) return false;
    for (int version = found + 1; version <= newest; version++) {
        if (!apply(db, files, version, err)) goto fail;
        BW_CRASH_POINT(STORE_MID_MIGRATION);
    }
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d", BW_STORE_APPLICATION_ID, newest);
    if (!bw_sql_exec(db, text, err) || !bw_sql_exec(db, "COMMIT", err)) goto fail;
    if (found > 0) bw_log(BW_LOG_INFO, "store.migrated", BW_INT("from", found), BW_INT("to", newest));
    return true;
fail:
    if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* the error that matters is already in err */
    return false;
}

bool bw_migrate_check(sqlite3 *db, const struct bw_embedded *files, struct bw_error *err)
{
    int newest = bw_migrate_version(files), found;
    if (!look_at_file(db, newest, &found, err)) return false;
    if (found == newest) return true;
    bw_error_set(err, "store.older", "the store has schema version %d, this program reads version %d", found, newest);
    bw_error_hint(err, "run: bellwire serve (it migrates the store), or use the program that wrote it");
    return false;
}
