/* pg_internal.h: what the files of the PostgreSQL side share. One thread, the host's loop, except where a function says otherwise.
 *
 *   resolving → connecting → cleaning → idle ⇄ beginning → (preparing → describing →) running … → committing → cleaning → …
 *                                               draining: its job has failed, what the server still sends is read to its end → cleaning */
#ifndef SQL_PG_INTERNAL_H
#define SQL_PG_INTERNAL_H
#include "pg.h"
#include <libpq-fe.h>

enum pg_state {
    PG_RESOLVING,
    PG_CONNECTING,
    PG_CLEANING, /* as new: nothing of one job is left for the next */
    PG_IDLE,
    PG_BEGINNING,
    PG_PREPARING,
    PG_DESCRIBING,
    PG_RUNNING,
    PG_COMMITTING,
    PG_DRAINING,
};
struct pg_lookup; /* of an address, in a thread */

struct pg_connection {
    TAILQ_ENTRY(pg_connection) link;
    struct pg_pool *pool;
    enum pg_state state;
    unsigned generation; /* of the URL that it was made with */
    PGconn *pg;
    struct pg_lookup *lookup; /* while resolving */
    struct bw_plugin_watch *watch;
    int watch_for;
    struct bw_plugin_timer *timer;
    PGresult *described;   /* the parameters of the statement that is prepared; NULL: they do not matter */
    struct sql_job *job;   /* NULL: none, or it has ended already */
    size_t statement;      /* of the job */
    bool has_begun_result; /* of this statement */
    bool is_reused;        /* it was idle before this job: it may be dead, and nobody knows yet */
};
struct pg_pool {
    const struct bw_plugin_host *host;
    struct mailbox *mailbox;
    const struct sql_database_config *config;
    char *url;
    PQconninfoOption *options; /* of url */
    unsigned generation;       /* counts the URLs */
    TAILQ_HEAD(, pg_connection) connections;
    int count, lookups;
    bool is_serving;
    struct sql_jobs waiting; /* for a connection */
};

/* pg_pool.c */
struct pg_connection *pg_connection_new(struct pg_pool *pool, struct sql_job *job);
void pg_connection_close(struct pg_connection *connection);                               /* frees it; its job must be gone */
void pg_connection_fail(struct pg_connection *connection, const struct sql_fault *fault); /* its job, if there is one */
void pg_connection_watch(struct pg_connection *connection, int watch_for);
void pg_connection_time(struct pg_connection *connection, int64_t delay_ms); /* 0 = no timer */
void pg_connection_free_for_use(struct pg_connection *connection);           /* takes the next job, or rests */
void pg_pool_serve(struct pg_pool *pool);                                    /* whoever waits, as far as there is room */
/* pg_connect.c */
bool pg_url_check(const PQconninfoOption *options, struct sql_fault *fault);
void pg_connect_begin(struct pg_connection *connection); /* may end the job and the connection */
void pg_connect_go_on(struct pg_connection *connection);
void pg_connect_forget(struct pg_connection *connection); /* it is closed while it is resolving */
/* pg_session.c: of a connection that stands */
void pg_session_clean(struct pg_connection *connection);
void pg_session_begin(struct pg_connection *connection); /* its job */
void pg_session_ready(struct pg_connection *connection, int what);
void pg_session_cancel(struct pg_connection *connection); /* what is under way; closes it, unless the commit is */
void pg_session_late(struct pg_connection *connection);   /* its timer */
/* pg_value.c */
char *pg_param_text(const json_t *value, Oid type, bool *is_null); /* malloc()ed; NULL and !is_null: no memory. type 0 = not known */
bool pg_param_has_nul(const json_t *value);                        /* no text of PostgreSQL has */
bool pg_params_need_types(const json_t *params);
json_t *pg_value(Oid type, const char *text, size_t len); /* NULL: no UTF-8, or no memory */
/* pg_fault.c */
void pg_fault_of_result(const PGresult *result, struct sql_fault *fault);
void pg_fault_of_connection(const PGconn *pg, const char *what, struct sql_fault *fault);
bool pg_is_lost(const char *sqlstate); /* the connection, or the server: what was under way may have been done */
#endif
