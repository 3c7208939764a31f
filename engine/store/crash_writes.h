/* crash_writes.h: crash points inside of SQLite: while a commit is written into the log, before it is synced, and while a checkpoint copies pages
 * into the database. Only in builds with BELLWIRE_TEST_HOOKS. */
#ifndef BW_STORE_CRASH_WRITES_H
#define BW_STORE_CRASH_WRITES_H
#include <sqlite3.h>

/* Of the writer's connection, once its log is open. */
void bw_crash_writes_watch(sqlite3 *db);
#endif
