/* migrate.h: brings a database file to the schema of this program. The file's version is PRAGMA user_version; version N is what
 * schema/00N_….sql leaves behind. All missing steps run in one transaction: a crash leaves the old version whole. A newer file, or one
 * that some other program made, is refused and not touched. Writer connection only, before its statements are prepared. */
#ifndef BW_STORE_MIGRATE_H
#define BW_STORE_MIGRATE_H
#include "base/embedded.h"
#include "base/error.h"
#include <sqlite3.h>

#define BW_STORE_APPLICATION_ID 0x42577265 /* "BWre", PRAGMA application_id */

/* `files`: a table like bw_embedded_sql; entries whose name starts with three digits are the migrations. */
bool bw_migrate(sqlite3 *db, const struct bw_embedded *files, struct bw_error *err); /* "store.newer", "store.foreign", "store.migration" */
int bw_migrate_version(const struct bw_embedded *files);                             /* the newest version that this program knows */
/* For readers: is this file of exactly this program's version? "store.newer", "store.older", "store.foreign". */
bool bw_migrate_check(sqlite3 *db, const struct bw_embedded *files, struct bw_error *err);
#endif
