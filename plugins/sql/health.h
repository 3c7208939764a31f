/* health.h: can each of the databases be asked? One after the other. The loop's thread. */
#ifndef SQL_HEALTH_H
#define SQL_HEALTH_H
#include "config.h"
#include "pg.h"
#include "sqlite.h"

/* One of the two. */
struct sql_database {
    struct pg_pool *pg;
    struct sqlite_pool *sqlite;
};
/* databases: as many as config has, in its order; both outlive the call, which is completed. */
void sql_health_begin(const struct bw_plugin_host *host, struct bw_plugin_call *call, struct mailbox *mailbox, const struct sql_config *config,
                      const struct sql_database *databases);
#endif
