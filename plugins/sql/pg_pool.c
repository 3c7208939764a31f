/* The connections of one database: made when a job needs one and there are fewer than `pool`, closed when nobody has used them for idle_ms. */
#include "pg_internal.h"
#include <stdlib.h>
#include <string.h>

struct pg_pool *pg_pool_new(const struct bw_plugin_host *host, struct mailbox *mailbox, const struct sql_database_config *config)
{
    struct pg_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->host = host;
    pool->mailbox = mailbox;
    pool->config = config;
    TAILQ_INIT(&pool->connections);
    TAILQ_INIT(&pool->waiting);
    return pool;
}

/* ---- one connection ---- */

struct pg_connection *pg_connection_new(struct pg_pool *pool, struct sql_job *job)
{
    struct pg_connection *connection = calloc(1, sizeof *connection);
    if (!connection) return NULL;
    connection->pool = pool;
    connection->generation = pool->generation;
    connection->job = job;
    TAILQ_INSERT_HEAD(&pool->connections, connection, link);
    pool->count++;
    return connection;
}

void pg_connection_close(struct pg_connection *connection)
{
    struct pg_pool *pool = connection->pool;
    pg_connection_watch(connection, 0);
    pg_connection_time(connection, 0);
    if (connection->lookup) pg_connect_forget(connection);
    PQclear(connection->described);
    if (connection->pg) PQfinish(connection->pg);
    TAILQ_REMOVE(&pool->connections, connection, link);
    pool->count--;
    free(connection);
}

void pg_connection_fail(struct pg_connection *connection, const struct sql_fault *fault)
{
    struct sql_job *job = connection->job;
    connection->job = NULL;
    if (job) sql_job_fail(job, fault);
}

static void on_ready(void *arg, int fd, int what)
{
    struct pg_connection *connection = arg;
    (void)fd;
    if (connection->state == PG_CONNECTING)
        pg_connect_go_on(connection);
    else
        pg_session_ready(connection, what);
}

/* While it connects the watch is made anew each time: libpq may have closed the descriptor, and opened another one under the same number. */
void pg_connection_watch(struct pg_connection *connection, int watch_for)
{
    const struct bw_plugin_host *host = connection->pool->host;
    if (connection->watch && watch_for == connection->watch_for && connection->state != PG_CONNECTING) return;
    if (connection->watch) host->unwatch(host, connection->watch);
    connection->watch = watch_for ? host->watch_fd(host, PQsocket(connection->pg), watch_for, on_ready, connection) : NULL;
    connection->watch_for = watch_for;
}

static void on_late(void *arg)
{
    struct pg_connection *connection = arg;
    struct pg_pool *pool = connection->pool;
    struct sql_fault fault;
    connection->timer = NULL;
    if (connection->state == PG_CONNECTING) {
        sql_fault_set(&fault, BW_PLUGIN_RETRY, "sql.connection", "database '%s' does not answer", pool->config->name);
        pg_connection_fail(connection, &fault);
        pg_connection_close(connection);
    } else {
        pg_session_late(connection);
    }
    pg_pool_serve(pool);
}

void pg_connection_time(struct pg_connection *connection, int64_t delay_ms)
{
    const struct bw_plugin_host *host = connection->pool->host;
    if (connection->timer) host->cancel_timer(host, connection->timer);
    connection->timer = delay_ms ? host->timer(host, delay_ms, on_late, connection) : NULL;
}

void pg_connection_free_for_use(struct pg_connection *connection)
{
    struct pg_pool *pool = connection->pool;
    connection->state = PG_IDLE;
    connection->is_reused = !connection->job;
    if (connection->generation != pool->generation) {
        struct sql_job *job = connection->job;
        pg_connection_close(connection);
        if (job) TAILQ_INSERT_HEAD(&pool->waiting, job, link);
        pg_pool_serve(pool);
        return;
    }
    if (!connection->job && (connection->job = TAILQ_FIRST(&pool->waiting))) TAILQ_REMOVE(&pool->waiting, connection->job, link);
    pg_connection_time(connection, connection->job ? 0 : pool->config->idle_ms);
    if (connection->job)
        pg_session_begin(connection);
    else
        pg_connection_watch(connection, BW_PLUGIN_READ); /* the server may close it */
}

/* ---- the pool ---- */

static struct pg_connection *find_idle(const struct pg_pool *pool)
{
    struct pg_connection *connection;
    TAILQ_FOREACH(connection, &pool->connections, link)
    if (connection->state == PG_IDLE) return connection;
    return NULL;
}

bool pg_pool_is_busy(const struct pg_pool *pool)
{
    return !TAILQ_EMPTY(&pool->waiting) || (pool->count >= pool->config->pool && !find_idle(pool));
}

static void open_connection(struct pg_pool *pool, struct sql_job *job)
{
    struct sql_fault fault;
    struct pg_connection *connection = pg_connection_new(pool, job);
    if (connection) {
        pg_connect_begin(connection);
        return;
    }
    sql_fault_set(&fault, BW_PLUGIN_RETRY, "sql.memory", "out of memory");
    sql_job_fail(job, &fault);
}

void pg_pool_serve(struct pg_pool *pool)
{
    struct sql_job *job;
    if (pool->is_serving) return; /* what fails at once asks for it from within */
    pool->is_serving = true;
    while ((job = TAILQ_FIRST(&pool->waiting))) {
        struct pg_connection *idle = find_idle(pool);
        if (!idle && pool->count >= pool->config->pool) break;
        TAILQ_REMOVE(&pool->waiting, job, link);
        if (!idle) {
            open_connection(pool, job);
            continue;
        }
        idle->job = job;
        pg_connection_time(idle, 0);
        pg_session_begin(idle);
    }
    pool->is_serving = false;
}

static void close_idle(struct pg_pool *pool)
{
    struct pg_connection *connection;
    while ((connection = find_idle(pool))) pg_connection_close(connection);
}

/* Secrets rotate: connections of the URL before are used by what they have begun, and by nobody else. */
static bool take_url(struct pg_pool *pool, const char *url, struct sql_fault *fault)
{
    if (!url)
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.secret", "the secret %s, which is the URL of database '%s', was not handed over",
                             pool->config->secret, pool->config->name);
    if (pool->url && !strcmp(pool->url, url)) return true;
    PQconninfoOption *options = PQconninfoParse(url, NULL); /* its error would quote the URL */
    if (!options)
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.url", "the URL of database '%s' must be like postgresql://USER:PASSWORD@HOST:5432/DATABASE",
                             pool->config->name);
    char *copy = pg_url_check(options, fault) ? strdup(url) : NULL;
    if (!copy) {
        PQconninfoFree(options);
        return false;
    }
    if (pool->options) PQconninfoFree(pool->options);
    free(pool->url);
    pool->options = options;
    pool->url = copy;
    pool->generation++;
    close_idle(pool);
    return true;
}

void pg_pool_submit_take(struct pg_pool *pool, struct sql_job *job)
{
    struct sql_fault fault = {.outcome = BW_PLUGIN_RETRY, .code = "sql.memory", .message = "out of memory"};
    if (!take_url(pool, pool->host->secret(pool->host, job->call, pool->config->secret), &fault)) {
        sql_job_fail(job, &fault);
        return;
    }
    TAILQ_INSERT_TAIL(&pool->waiting, job, link);
    pg_pool_serve(pool);
}

bool pg_pool_cancel(struct pg_pool *pool, const struct bw_plugin_call *call)
{
    const struct sql_fault cancelled = {
        .outcome = BW_PLUGIN_FAIL, .code = BELLWIRE_PLUGIN_CANCELLED, .message = "it was given up before it was done: nothing was changed"};
    struct pg_connection *connection;
    struct sql_job *job;
    TAILQ_FOREACH(job, &pool->waiting, link)
    if (job->call == call) {
        TAILQ_REMOVE(&pool->waiting, job, link);
        sql_job_fail(job, &cancelled);
        return true;
    }
    TAILQ_FOREACH(connection, &pool->connections, link)
    if (connection->job && connection->job->call == call) {
        if (connection->state == PG_COMMITTING) { /* the server's word counts, if it comes soon */
            pg_session_cancel(connection);
            return true;
        }
        pg_connection_fail(connection, &cancelled);
        if (connection->state == PG_RESOLVING || connection->state == PG_CONNECTING)
            pg_connection_close(connection);
        else if (connection->state != PG_CLEANING) /* that goes on, for the next one */
            pg_session_cancel(connection);
        pg_pool_serve(pool);
        return true;
    }
    return false;
}

bool pg_pool_free(struct pg_pool *pool)
{
    struct pg_connection *connection;
    while ((connection = TAILQ_FIRST(&pool->connections))) pg_connection_close(connection);
    bool is_done = !pool->lookups;
    if (pool->options) PQconninfoFree(pool->options);
    free(pool->url);
    if (is_done) free(pool);
    return is_done;
}
