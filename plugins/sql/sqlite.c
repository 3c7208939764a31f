#include "sqlite.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRESS_STEPS 1000 /* of SQLite's machine, between two looks at whether the job is still wanted */
#define BUSY_SLEEP_US 2000  /* another process writes */
#define BUSY_TRIES 500      /* 1 s, then it is the engine's turn to wait: the thread is for others */

struct sqlite_pool {
    const struct sql_database_config *config;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t has_work, has_ended;
    struct sql_jobs waiting;
    int waiting_count, started, idle;
    _Atomic bool is_ending; /* read by those who work as well */
};
struct worker {
    struct sqlite_pool *pool;
    sqlite3 *db;
    struct sql_job *job;
    bool is_framing; /* begin, commit and rollback are ours */
    bool is_undoing; /* and taking back is not interrupted */
};

/* ---- what SQLite asks while it works ---- */

static bool is_wanted(const struct worker *worker)
{
    return !atomic_load(&worker->pool->is_ending) && !worker->job->host->is_cancelled(worker->job->host, worker->job->call);
}

static int on_progress(void *arg)
{
    const struct worker *worker = arg;
    if (worker->is_undoing) return 0;
    worker->job->host->heartbeat(worker->job->host, worker->job->call);
    return !is_wanted(worker);
}

static int on_busy(void *arg, int tries)
{
    const struct worker *worker = arg;
    if (tries >= BUSY_TRIES || !is_wanted(worker)) return 0;
    nanosleep(&(struct timespec){.tv_nsec = BUSY_SLEEP_US * 1000}, NULL);
    return 1;
}

/* The same as the first words that are refused (job.c), for whatever else leads there, and everything that touches another file. */
static int on_authorize(void *arg, int action, const char *first, const char *second, const char *database, const char *trigger)
{
    const struct worker *worker = arg;
    (void)first, (void)second, (void)database, (void)trigger;
    if (action == SQLITE_ATTACH || action == SQLITE_DETACH || action == SQLITE_PRAGMA) return SQLITE_DENY;
    return !worker->is_framing && (action == SQLITE_TRANSACTION || action == SQLITE_SAVEPOINT) ? SQLITE_DENY : SQLITE_OK;
}

/* ---- errors ---- */

/* Constraints have the codes of PostgreSQL, so that a workflow can tell them apart on either. */
static const char *constraint_code(int extended)
{
    switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return "sql.23505";
    case SQLITE_CONSTRAINT_FOREIGNKEY: return "sql.23503";
    case SQLITE_CONSTRAINT_NOTNULL: return "sql.23502";
    case SQLITE_CONSTRAINT_CHECK: return "sql.23514";
    default: return "sql.23000";
    }
}

static bool fault_of(const struct worker *worker, struct sql_fault *fault)
{
    int extended = sqlite3_extended_errcode(worker->db), code = extended & 0xff;
    const char *message = sqlite3_errmsg(worker->db);
    char name[40];
    if (!is_wanted(worker))
        return sql_fault_set(fault, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED, "it was given up before it was done: nothing was changed");
    if (code == SQLITE_CONSTRAINT) return sql_fault_set(fault, BW_PLUGIN_FAIL, constraint_code(extended), "%s", message);
    bool may_pass = code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_NOMEM ||
                    code == SQLITE_PROTOCOL || code == SQLITE_INTERRUPT;
    snprintf(name, sizeof name, "sql.sqlite_%d", code);
    return sql_fault_set(fault, may_pass ? BW_PLUGIN_RETRY : BW_PLUGIN_FAIL, code == SQLITE_BUSY ? "sql.busy" : name, "%s", message);
}

static bool open_database(struct worker *worker, struct sql_fault *fault)
{
    const struct sql_database_config *config = worker->pool->config;
    if (worker->db) return true;
    /* Without CREATE: a name that is spelt wrong is no new database. */
    if (sqlite3_open_v2(config->path, &worker->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) == SQLITE_OK) {
        sqlite3_busy_handler(worker->db, on_busy, worker);
        sqlite3_progress_handler(worker->db, PROGRESS_STEPS, on_progress, worker);
        sqlite3_db_config(worker->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(worker->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        sqlite3_exec(worker->db, "PRAGMA foreign_keys = 1", NULL, NULL, NULL);
        sqlite3_set_authorizer(worker->db, on_authorize, worker);
        return true;
    }
    sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.file", "database '%s', %s: %s; a new one is made by  sqlite3 %s 'pragma journal_mode = wal'",
                  config->name, config->path, worker->db ? sqlite3_errmsg(worker->db) : "out of memory", config->path);
    sqlite3_close(worker->db);
    worker->db = NULL;
    return false;
}

/* ---- values ---- */

static int bind_value(sqlite3_stmt *statement, int index, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL: return sqlite3_bind_null(statement, index);
    case JSON_TRUE: return sqlite3_bind_int(statement, index, 1);
    case JSON_FALSE: return sqlite3_bind_int(statement, index, 0);
    case JSON_INTEGER: return sqlite3_bind_int64(statement, index, json_integer_value(value));
    case JSON_REAL: return sqlite3_bind_double(statement, index, json_real_value(value));
    case JSON_STRING: return sqlite3_bind_text64(statement, index, json_string_value(value), json_string_length(value), SQLITE_STATIC, SQLITE_UTF8);
    default: break;
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17));
    return text ? sqlite3_bind_text(statement, index, text, -1, free) : SQLITE_NOMEM;
}

/* $1, ?1, :1 and @1 are the first parameter on every database; a bare ? is the next one. */
static size_t place_of(sqlite3_stmt *statement, int index)
{
    const char *name = sqlite3_bind_parameter_name(statement, index);
    char *end;
    if (!name) return (size_t)index;
    long place = strtol(name + 1, &end, 10);
    return *end || place < 1 ? 0 : (size_t)place;
}

static bool bind_params(struct worker *worker, sqlite3_stmt *statement, const json_t *params, struct sql_fault *fault)
{
    size_t highest = 0, given = json_array_size(params);
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        const char *name = sqlite3_bind_parameter_name(statement, i);
        size_t place = place_of(statement, i);
        if (!place) return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "parameter %.60s must be a number, as in $1", name);
        if (place > highest) highest = place;
        if (place > given) continue;
        if (bind_value(statement, i, json_array_get(params, place - 1)) != SQLITE_OK) return fault_of(worker, fault);
    }
    return highest == given || sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "the statement has %zu parameters, and params %zu", highest, given);
}

static json_t *blob_value(const unsigned char *bytes, size_t len)
{
    char *text = malloc(2 * len + 3), *at = text;
    if (!text) return NULL;
    at += sprintf(at, "\\x");
    for (size_t i = 0; i < len; i++) at += sprintf(at, "%02x", bytes[i]);
    json_t *value = json_string(text);
    free(text);
    return value;
}

static json_t *column_value(sqlite3_stmt *statement, int column, size_t *bytes)
{
    double number;
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: *bytes += 8; return json_integer(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
        *bytes += 8;
        number = sqlite3_column_double(statement, column);
        return isfinite(number) ? json_real(number) : json_string(number < 0 ? "-Infinity" : "Infinity");
    case SQLITE_NULL: *bytes += 1; return json_null();
    case SQLITE_BLOB:
        *bytes += 2 * (size_t)sqlite3_column_bytes(statement, column);
        return blob_value(sqlite3_column_blob(statement, column), (size_t)sqlite3_column_bytes(statement, column));
    default: break;
    }
    const char *text = (const char *)sqlite3_column_text(statement, column);
    *bytes += (size_t)sqlite3_column_bytes(statement, column);
    size_t len = (size_t)sqlite3_column_bytes(statement, column);
    return text && !memchr(text, '\0', len) ? json_stringn(text, len) : NULL; /* no text of a step holds NUL */
}

/* ---- statements ---- */

static bool add_row(struct worker *worker, sqlite3_stmt *statement, struct sql_fault *fault)
{
    size_t bytes = 0;
    json_t *row = json_object();
    for (int i = 0; row && i < sqlite3_column_count(statement); i++) {
        const char *name = sqlite3_column_name(statement, i);
        bytes += name ? strlen(name) : 0;
        if (name && sql_row_set_take(row, name, column_value(statement, i, &bytes))) continue;
        json_decref(row);
        row = NULL;
    }
    return sql_job_add_row_take(worker->job, row, bytes, fault);
}

static bool prepare(struct worker *worker, const struct sql_statement *from, sqlite3_stmt **statement, struct sql_fault *fault)
{
    const char *tail;
    char word[24];
    if (sqlite3_prepare_v2(worker->db, from->sql, -1, statement, &tail) != SQLITE_OK) {
        int position = sqlite3_error_offset(worker->db);
        fault_of(worker, fault);
        size_t len = strlen(fault->message);
        if (position >= 0) snprintf(fault->message + len, sizeof fault->message - len, " at character %d", position + 1);
        return false;
    }
    sql_first_word(tail, word, sizeof word);
    if (*word) return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.42601", "sql holds several statements: that is sql/transaction");
    if (!*statement) return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "sql holds no statement");
    if (worker->job->is_read && !sqlite3_stmt_readonly(*statement))
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.25006", "sql/query changes nothing: that is sql/execute");
    return true;
}

/* What SQLite tells is of the last statement that changed rows, which need not be this one. */
static int64_t affected_rows(const struct worker *worker, sqlite3_stmt *statement, sqlite3_int64 changes_before)
{
    if (sqlite3_stmt_readonly(statement)) return (int64_t)worker->job->row_count;
    return sqlite3_total_changes64(worker->db) == changes_before ? 0 : sqlite3_changes64(worker->db);
}

static bool run_statement(struct worker *worker, const struct sql_statement *from, struct sql_fault *fault)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_int64 before = sqlite3_total_changes64(worker->db);
    int status = SQLITE_DONE;
    bool is_good =
        sql_job_begin_result(worker->job, fault) && prepare(worker, from, &statement, fault) && bind_params(worker, statement, from->params, fault);
    while (is_good && (status = sqlite3_step(statement)) == SQLITE_ROW) is_good = add_row(worker, statement, fault);
    if (is_good && status != SQLITE_DONE) is_good = fault_of(worker, fault);
    if (is_good) is_good = sql_job_end_result(worker->job, affected_rows(worker, statement, before), fault);
    sqlite3_finalize(statement);
    return is_good;
}

static bool frame(struct worker *worker, const char *sql, struct sql_fault *fault)
{
    worker->is_framing = true;
    bool is_good = sqlite3_exec(worker->db, sql, NULL, NULL, NULL) == SQLITE_OK;
    worker->is_framing = false;
    return is_good || fault_of(worker, fault);
}

static bool run_job(struct worker *worker, struct sql_fault *fault)
{
    struct sql_job *job = worker->job;
    if (!open_database(worker, fault) || !frame(worker, job->is_read ? "BEGIN" : "BEGIN IMMEDIATE", fault)) return false;
    bool is_good = true;
    for (size_t i = 0; i < job->count && is_good; i++) is_good = run_statement(worker, &job->statements[i], fault);
    if (is_good) is_good = frame(worker, "COMMIT", fault);
    if (!sqlite3_get_autocommit(worker->db)) {
        worker->is_framing = worker->is_undoing = true;
        sqlite3_exec(worker->db, "ROLLBACK", NULL, NULL, NULL);
        worker->is_framing = worker->is_undoing = false;
    }
    return is_good;
}

/* ---- threads ---- */

static struct sql_job *take_job(struct sqlite_pool *pool)
{
    struct sql_job *job = pool->is_ending ? NULL : TAILQ_FIRST(&pool->waiting);
    if (!job) return NULL;
    TAILQ_REMOVE(&pool->waiting, job, link);
    pool->waiting_count--;
    return job;
}

/* NULL: there was none for the idle time, or it is the end. */
static struct sql_job *wait_for_job(struct sqlite_pool *pool)
{
    struct timespec until;
    struct sql_job *job;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += pool->config->idle_ms / 1000;
    pool->idle++;
    while (!(job = take_job(pool)) && !pool->is_ending)
        if (pthread_cond_timedwait(&pool->has_work, &pool->lock, &until) == ETIMEDOUT) {
            job = take_job(pool);
            break;
        }
    pool->idle--;
    return job;
}

static void *work(void *arg)
{
    struct sqlite_pool *pool = arg;
    struct worker worker = {.pool = pool};
    struct sql_fault fault;
    pthread_mutex_lock(&pool->lock);
    while ((worker.job = wait_for_job(pool))) {
        pthread_mutex_unlock(&pool->lock);
        if (run_job(&worker, &fault))
            sql_job_done(worker.job);
        else
            sql_job_fail(worker.job, &fault);
        pthread_mutex_lock(&pool->lock);
    }
    pool->started--;
    pthread_cond_signal(&pool->has_ended);
    pthread_mutex_unlock(&pool->lock);
    sqlite3_close(worker.db);
    return NULL;
}

static bool start_thread(struct sqlite_pool *pool)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, pool)) return false;
    pthread_detach(thread);
    pool->started++;
    return true;
}

struct sqlite_pool *sqlite_pool_new(const struct sql_database_config *config)
{
    struct sqlite_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->config = config;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->has_work, NULL);
    pthread_cond_init(&pool->has_ended, NULL);
    TAILQ_INIT(&pool->waiting);
    return pool;
}

bool sqlite_pool_is_busy(struct sqlite_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool is_busy = pool->idle <= pool->waiting_count && pool->started >= pool->config->pool;
    pthread_mutex_unlock(&pool->lock);
    return is_busy;
}

void sqlite_pool_submit_take(struct sqlite_pool *pool, struct sql_job *job)
{
    struct sql_fault fault;
    pthread_mutex_lock(&pool->lock);
    bool is_taken = pool->idle > pool->waiting_count || pool->started >= pool->config->pool || start_thread(pool) || pool->started > 0;
    if (is_taken) {
        TAILQ_INSERT_TAIL(&pool->waiting, job, link);
        pool->waiting_count++;
        pthread_cond_signal(&pool->has_work);
    }
    pthread_mutex_unlock(&pool->lock);
    if (is_taken) return;
    sql_fault_set(&fault, BW_PLUGIN_RETRY, "sql.memory", "no thread for database '%s'", pool->config->name);
    sql_job_fail(job, &fault);
}

bool sqlite_pool_cancel(struct sqlite_pool *pool, const struct bw_plugin_call *call)
{
    const struct sql_fault cancelled = {
        .outcome = BW_PLUGIN_FAIL, .code = BELLWIRE_PLUGIN_CANCELLED, .message = "it was given up before it had begun: nothing was changed"};
    struct sql_job *job;
    pthread_mutex_lock(&pool->lock);
    TAILQ_FOREACH(job, &pool->waiting, link)
    if (job->call == call) break;
    if (job) {
        TAILQ_REMOVE(&pool->waiting, job, link);
        pool->waiting_count--;
    }
    pthread_mutex_unlock(&pool->lock);
    if (job) sql_job_fail(job, &cancelled);
    return job != NULL;
}

void sqlite_pool_free(struct sqlite_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_ending = true;
    pthread_cond_broadcast(&pool->has_work);
    while (pool->started) pthread_cond_wait(&pool->has_ended, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&pool->has_ended);
    pthread_cond_destroy(&pool->has_work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
