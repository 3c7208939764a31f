/* A connection that stands: begin, the statements of one job, commit, and then as new for the next job.
 *
 * Nothing is done before the commit was sent: whatever goes wrong earlier is no doubt. After it only the server's word counts, and if that does not
 * come the job is doubtful. */
#include "pg_internal.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLEANING_MS 5000 /* what has to end before a connection is as new */
#define LAST_WORD_MS 700 /* a commit that is not wanted any more; the host waits for 1 s */
#define OVERTIME_MS 1000 /* the server gives up later than the host, which knows better why */

/* ---- sending ---- */

static void lost(struct pg_connection *connection);

static void flush(struct pg_connection *connection)
{
    int left = PQflush(connection->pg);
    pg_connection_watch(connection, BW_PLUGIN_READ | (left > 0 ? BW_PLUGIN_WRITE : 0));
}

/* False: the connection is gone, and the job has had its answer. */
static bool sent(struct pg_connection *connection, int is_sent, enum pg_state state)
{
    if (!is_sent) {
        lost(connection);
        return false;
    }
    connection->state = state;
    flush(connection);
    return true;
}

void pg_session_clean(struct pg_connection *connection)
{
    static const char as_new[] = "ROLLBACK; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; DEALLOCATE ALL; DISCARD TEMP; "
                                 "DISCARD SEQUENCES; SELECT pg_catalog.pg_advisory_unlock_all(); SET datestyle = 'ISO'; SET bytea_output = 'hex'";
    pg_connection_time(connection, CLEANING_MS);
    if (PQtransactionStatus(connection->pg) == PQTRANS_IDLE)
        sent(connection, PQsendQuery(connection->pg, as_new + strlen("ROLLBACK; ")), PG_CLEANING);
    else
        sent(connection, PQsendQuery(connection->pg, as_new), PG_CLEANING);
}

void pg_session_begin(struct pg_connection *connection)
{
    char text[200];
    const struct sql_job *job = connection->job;
    long long timeout_ms = job->call->timeout_ms > 0 && job->call->timeout_ms < INT32_MAX - OVERTIME_MS ? job->call->timeout_ms + OVERTIME_MS : 0;
    connection->statement = 0;
    snprintf(text, sizeof text,
             "BEGIN ISOLATION LEVEL %s %s; SET LOCAL statement_timeout = %lld; SET LOCAL idle_in_transaction_session_timeout = %lld", job->isolation,
             job->is_read ? "READ ONLY" : "READ WRITE", timeout_ms, timeout_ms);
    sent(connection, PQsendQuery(connection->pg, text), PG_BEGINNING);
}

struct params {
    char **texts; /* NULL for null */
    int count;
};

static void params_free(struct params *params)
{
    for (int i = 0; params->texts && i < params->count; i++) free(params->texts[i]);
    free(params->texts);
}

/* described: what the server says of the parameters; NULL: that does not matter to any of them. */
static bool params_make(struct params *params, const json_t *values, const PGresult *described, struct sql_fault *fault)
{
    json_t *value;
    size_t index;
    *params = (struct params){.texts = calloc(json_array_size(values) + 1, sizeof *params->texts), .count = (int)json_array_size(values)};
    if (!params->texts) return sql_fault_set(fault, BW_PLUGIN_RETRY, "sql.memory", "out of memory");
    if (described && PQnparams(described) != params->count)
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "the statement has %d parameters, and params %d", PQnparams(described),
                             params->count);
    json_array_foreach(values, index, value)
    {
        bool is_null;
        if (pg_param_has_nul(value))
            return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "parameter %zu holds a NUL character, which no text of PostgreSQL can",
                                 index + 1);
        params->texts[index] = pg_param_text(value, described ? PQparamtype(described, (int)index) : 0, &is_null);
        if (!params->texts[index] && !is_null) return sql_fault_set(fault, BW_PLUGIN_RETRY, "sql.memory", "out of memory");
    }
    return true;
}

/* The statement, with parameters of its own so that the server takes no second one. */
static void run(struct pg_connection *connection, const PGresult *described)
{
    const struct sql_statement *statement = &connection->job->statements[connection->statement];
    struct params params;
    struct sql_fault fault;
    connection->has_begun_result = false;
    if (!params_make(&params, statement->params, described, &fault)) {
        pg_connection_fail(connection, &fault);
        pg_session_clean(connection);
    } else {
        const char *const *texts = (const char *const *)params.texts;
        int is_sent = described ? PQsendQueryPrepared(connection->pg, "", params.count, texts, NULL, NULL, 0)
                                : PQsendQueryParams(connection->pg, statement->sql, params.count, NULL, texts, NULL, NULL, 0);
        if (is_sent) is_sent = PQsetSingleRowMode(connection->pg);
        sent(connection, is_sent, PG_RUNNING);
    }
    params_free(&params);
}

static void next_statement(struct pg_connection *connection)
{
    const struct sql_job *job = connection->job;
    if (connection->statement == job->count) {
        sent(connection, PQsendQuery(connection->pg, "COMMIT"), PG_COMMITTING);
        return;
    }
    const struct sql_statement *statement = &job->statements[connection->statement];
    if (pg_params_need_types(statement->params)) /* a list is an array or JSON: the column decides */
        sent(connection, PQsendPrepare(connection->pg, "", statement->sql, 0, NULL), PG_PREPARING);
    else
        run(connection, NULL);
}

/* ---- receiving ---- */

static void *cancel_in_thread(void *arg)
{
    char ignored[256];
    PQcancel(arg, ignored, sizeof ignored); /* a connection of its own, which blocks */
    PQfreeCancel(arg);
    return NULL;
}

static void cancel_on_server(const struct pg_connection *connection)
{
    pthread_t thread;
    PGcancel *cancel = PQgetCancel(connection->pg);
    if (!cancel) return;
    if (pthread_create(&thread, NULL, cancel_in_thread, cancel))
        PQfreeCancel(cancel);
    else
        pthread_detach(thread);
}

static bool add_row(struct pg_connection *connection, const PGresult *result, struct sql_fault *fault)
{
    int columns = PQnfields(result);
    size_t bytes = 0;
    json_t *row = json_object();
    for (int i = 0; row && i < columns; i++) {
        size_t len = (size_t)PQgetlength(result, 0, i);
        json_t *value = PQgetisnull(result, 0, i) ? json_null() : pg_value(PQftype(result, i), PQgetvalue(result, 0, i), len);
        bytes += len + strlen(PQfname(result, i));
        if (sql_row_set_take(row, PQfname(result, i), value)) continue;
        json_decref(row);
        row = NULL;
    }
    return sql_job_add_row_take(connection->job, row, bytes, fault);
}

static bool take_answer(struct pg_connection *connection, PGresult *result, struct sql_fault *fault)
{
    struct sql_job *job = connection->job;
    if (!connection->has_begun_result && !(connection->has_begun_result = sql_job_begin_result(job, fault))) return false;
    if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) return add_row(connection, result, fault);
    return sql_job_end_result(job, strtoll(PQcmdTuples(result), NULL, 10), fault);
}

static bool is_stale(const struct pg_connection *connection, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return connection->state == PG_BEGINNING && connection->is_reused && (!state || pg_is_lost(state));
}

static bool take_error(struct pg_connection *connection, const PGresult *result, struct sql_fault *fault)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    pg_fault_of_result(result, fault);
    if (connection->state == PG_COMMITTING) fault->is_doubtful = !state || pg_is_lost(state);
    return false;
}

/* False: the job has failed. */
static bool take_result(struct pg_connection *connection, PGresult *result, struct sql_fault *fault)
{
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        if (connection->state == PG_RUNNING) return take_answer(connection, result, fault);
        if (connection->state == PG_DESCRIBING) connection->described = result;
        if (connection->state == PG_COMMITTING && strcmp(PQcmdStatus(result), "COMMIT") != 0)
            return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.rolled_back", "the server took the transaction back");
        return true;
    case PGRES_EMPTY_QUERY: return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "sql holds no statement");
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.refused", "a step cannot do 'copy': rows come and go as values");
    default: return take_error(connection, result, fault);
    }
}

/* The answer to what was sent is complete. The connection may be gone afterwards. */
static void go_on(struct pg_connection *connection)
{
    struct sql_job *job = connection->job;
    struct sql_fault fault;
    PGresult *described;
    switch (connection->state) {
    case PG_BEGINNING: next_statement(connection); return;
    case PG_PREPARING: sent(connection, PQsendDescribePrepared(connection->pg, ""), PG_DESCRIBING); return;
    case PG_DESCRIBING:
        described = connection->described;
        connection->described = NULL;
        run(connection, described);
        PQclear(described);
        return;
    case PG_RUNNING:
        if (PQtransactionStatus(connection->pg) != PQTRANS_INTRANS) {
            sql_fault_set(&fault, BW_PLUGIN_FAIL, "sql.refused", "the statement has ended the transaction that the step is");
            fault.is_doubtful = true;
            pg_connection_fail(connection, &fault);
            pg_session_clean(connection);
            return;
        }
        connection->statement++;
        next_statement(connection);
        return;
    case PG_COMMITTING:
        connection->job = NULL;
        pg_session_clean(connection); /* before the answer, which may bring the next job at once */
        sql_job_done(job);
        return;
    case PG_CLEANING: pg_connection_free_for_use(connection); return;
    default: pg_session_clean(connection);
    }
}

/* The job has failed, and the answer goes on. A statement that is still running is stopped, and the connection with it: the request to stop may come
 * late, and would stop somebody else. */
static void stop(struct pg_connection *connection, ExecStatusType status, const struct sql_fault *fault)
{
    struct pg_pool *pool = connection->pool;
    bool is_over = status == PGRES_FATAL_ERROR || status == PGRES_EMPTY_QUERY || status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    pg_connection_fail(connection, fault);
    connection->state = PG_DRAINING;
    if (is_over) return;
    pg_session_cancel(connection);
    pg_pool_serve(pool);
}

/* The connection is gone. What a job had begun on one that had been idle is nothing, if it is dead: the job begins again on another one. */
static void lost(struct pg_connection *connection)
{
    struct pg_pool *pool = connection->pool;
    struct sql_job *job = connection->job;
    struct sql_fault fault;
    pg_fault_of_connection(connection->pg, "the connection broke", &fault);
    fault.outcome = BW_PLUGIN_RETRY;
    fault.is_doubtful = connection->state == PG_COMMITTING;
    if (job && connection->is_reused && (connection->state == PG_BEGINNING || connection->state == PG_IDLE)) {
        connection->job = NULL;
        TAILQ_INSERT_HEAD(&pool->waiting, job, link);
    } else {
        pg_connection_fail(connection, &fault);
    }
    pg_connection_close(connection);
    pg_pool_serve(pool);
}

/* One result, which is freed. False: the connection may be gone. */
static bool take(struct pg_connection *connection, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    struct sql_fault fault;
    bool is_kept = status == PGRES_COMMAND_OK && connection->state == PG_DESCRIBING, is_good = true, is_dead = false;
    if (connection->state == PG_DRAINING || (connection->state == PG_CLEANING && status != PGRES_FATAL_ERROR)) {
        PQclear(result);
        return true;
    }
    if (!(is_good = take_result(connection, result, &fault))) is_dead = is_stale(connection, result);
    if (!is_kept) PQclear(result);
    if (is_good) return true;
    if (is_dead) {
        lost(connection);
        return false;
    }
    if (connection->state == PG_CLEANING) {
        struct pg_pool *pool = connection->pool;
        pg_connection_fail(connection, &fault);
        pg_connection_close(connection);
        pg_pool_serve(pool);
        return false;
    }
    stop(connection, status, &fault);
    return status != PGRES_SINGLE_TUPLE && status != PGRES_COPY_IN && status != PGRES_COPY_OUT && status != PGRES_COPY_BOTH;
}

void pg_session_ready(struct pg_connection *connection, int what)
{
    PGnotify *notice;
    PGresult *result;
    if (!PQconsumeInput(connection->pg)) {
        lost(connection);
        return;
    }
    if (connection->state == PG_IDLE) {
        while ((notice = PQnotifies(connection->pg))) PQfreemem(notice);
        return;
    }
    if (what & BW_PLUGIN_WRITE) flush(connection);
    while (!PQisBusy(connection->pg)) {
        if (!(result = PQgetResult(connection->pg))) {
            go_on(connection);
            return;
        }
        if (!take(connection, result)) return;
    }
}

void pg_session_cancel(struct pg_connection *connection)
{
    if (connection->state == PG_COMMITTING) {
        pg_connection_time(connection, LAST_WORD_MS);
        return;
    }
    cancel_on_server(connection);
    pg_connection_close(connection);
}

void pg_session_late(struct pg_connection *connection)
{
    struct sql_fault fault;
    sql_fault_set(&fault, BW_PLUGIN_RETRY, "sql.connection", "database '%s' does not answer", connection->pool->config->name);
    if (connection->state == PG_COMMITTING) {
        sql_fault_set(&fault, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED,
                      "it was given up while the server was committing: nobody knows whether it has");
        fault.is_doubtful = true;
    }
    pg_connection_fail(connection, &fault);
    pg_connection_close(connection);
}
