/* database.h: opens the database file, for the one writer and for readers, with all that must be set before the first statement.
 *
 * SQLite before 3.51.3 can lose pages when two connections write or checkpoint at the same instant (the WAL-reset bug). Therefore exactly
 * one connection in one process writes, and the same thread checkpoints; lock.h guards the process, the writer thread the connection, and
 * readers can do neither. */
#ifndef BW_STORE_DATABASE_H
#define BW_STORE_DATABASE_H
#include "store/sql.h"

#define BW_STORE_BUSY_MS 5000 /* only a reader's recovery of the log can hold the lock */

/* folder NULL = in memory. Creates FOLDER/bellwire.db (0600) if there is none, and makes its directory entry durable. */
sqlite3 *bw_database_open_writer(const char *folder, struct bw_error *err);
sqlite3 *bw_database_open_reader(const char *folder, struct bw_error *err); /* "store.missing" */
void bw_database_close(sqlite3 *db, bool checkpoint); /* all statements are finalized; without `checkpoint` the file is left as it is */
#endif
