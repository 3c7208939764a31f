/* pg.h: one PostgreSQL database: a pool of connections on the host's loop, each used by one job at a time. The loop's thread only. */
#ifndef SQL_PG_H
#define SQL_PG_H
#include "config.h"
#include "job.h"
#include "shared/mailbox.h"

struct pg_pool; /* opaque */

/* config stays the caller's and must outlive the pool. NULL without memory. */
struct pg_pool *pg_pool_new(const struct bw_plugin_host *host, struct mailbox *mailbox, const struct sql_database_config *config);
bool pg_pool_is_busy(const struct pg_pool *pool); /* a job would have to wait for others */
void pg_pool_submit_take(struct pg_pool *pool, struct sql_job *job);
bool pg_pool_cancel(struct pg_pool *pool, const struct bw_plugin_call *call); /* false: it has no job of this call */
/* False: a look-up of a name is still under way in a thread, which will use the mailbox. */
bool pg_pool_free(struct pg_pool *pool);
#endif
