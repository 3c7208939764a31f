/* sqlite.h: one SQLite database: a file, and threads with a connection each, started as they are needed. The loop's thread only; the threads
 * complete calls by themselves. */
#ifndef SQL_SQLITE_H
#define SQL_SQLITE_H
#include "config.h"
#include "job.h"

struct sqlite_pool; /* opaque */

struct sqlite_pool *sqlite_pool_new(const struct sql_database_config *config); /* config must outlive it */
bool sqlite_pool_is_busy(struct sqlite_pool *pool);                            /* a job would have to wait for others */
void sqlite_pool_submit_take(struct sqlite_pool *pool, struct sql_job *job);
/* Ends the job of this call if no thread has it yet. One that has it hears of it by is_cancelled(). */
bool sqlite_pool_cancel(struct sqlite_pool *pool, const struct bw_plugin_call *call);
void sqlite_pool_free(struct sqlite_pool *pool); /* what runs is interrupted */
#endif
