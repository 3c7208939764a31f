/* sql/query, sql/execute, sql/transaction @1: PostgreSQL by libpq on the host's loop, SQLite in threads. README.md says what a user may expect. */
#include "health.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS "\"params\":{\"type\":\"array\",\"default\":[],\"max_items\":10000,\"doc\":\"what $1, $2, … stand for\"}"
#define SQL "\"sql\":{\"type\":\"string\",\"required\":true,\"doc\":\"one statement; values are $1, $2, …, never part of the text\"}"
#define EXPECT "\"expect\":{\"type\":\"integer\",\"min\":0,\"doc\":\"so many rows must be affected, else nothing happens\"}"
#define DATABASE "\"database\":{\"type\":\"string\",\"doc\":\"one of the configured; may be left out if there is only one\"}"
#define ROWS "\"max_rows\":{\"type\":\"integer\",\"default\":1000,\"min\":1,\"max\":100000,\"doc\":\"more rows than that are an error\"}"
#define ISOLATION                                                                                                  \
    "\"isolation\":{\"type\":\"string\",\"default\":\"read committed\",\"enum\":[\"read committed\",\"repeatable " \
    "read\",\"serializable\"],\"doc\":\"of PostgreSQL; SQLite is always serializable\"}"

#define CONFIG                                                                                                                             \
    "\"config\":{\"databases\":{\"type\":\"array\",\"required\":true,\"max_items\":100,\"items\":{\"type\":\"object\",\"properties\":{"    \
    "\"name\":{\"type\":\"string\",\"required\":true,\"doc\":\"what steps call it\"},"                                                     \
    "\"url\":{\"type\":\"string\",\"secret\":true,\"doc\":\"PostgreSQL: postgresql://USER:PASSWORD@HOST:5432/DATABASE\"},"                 \
    "\"file\":{\"type\":\"string\",\"doc\":\"SQLite: the name of a file in folder\"},"                                                     \
    "\"pool\":{\"type\":\"integer\",\"default\":10,\"min\":1,\"max\":100,\"doc\":\"connections at most\"},"                                \
    "\"idle_s\":{\"type\":\"integer\",\"default\":60,\"min\":1,\"max\":86400,\"doc\":\"one that was not used for so long is closed\"}}}}," \
    "\"folder\":{\"type\":\"string\",\"doc\":\"of SQLite's files, from the root: the plugin may open what is in it\"}},"

static const char manifest[] =
    "{\"name\":\"sql\",\"version\":\"1.0.0\",\"doc\":\"PostgreSQL and SQLite\",\"needs\":[\"network\",\"files:$folder\"]," CONFIG "\"actions\":["
    "{\"name\":\"sql/query\",\"effect\":\"read\",\"doc\":\"Ask a database. Nothing can be changed by it.\","
    "\"inputs\":{" DATABASE "," SQL "," PARAMS "," ROWS "},"
    "\"outputs\":{\"rows\":{\"type\":\"array\",\"items\":{\"type\":\"object\"},\"doc\":\"column to value\"},\"count\":{\"type\":\"integer\"}}},"
    "{\"name\":\"sql/execute\",\"effect\":\"write\",\"doc\":\"Change something by one statement, in a transaction of its own.\","
    "\"inputs\":{" DATABASE "," SQL "," PARAMS "," EXPECT "," ROWS "},"
    "\"outputs\":{\"affected\":{\"type\":\"integer\"},\"rows\":{\"type\":\"array\",\"items\":{\"type\":\"object\"},\"doc\":\"of returning\"}}},"
    "{\"name\":\"sql/transaction\",\"effect\":\"write\",\"doc\":\"Several statements, all of them or none.\","
    "\"inputs\":{" DATABASE "," ROWS "," ISOLATION
    ",\"statements\":{\"type\":\"array\",\"required\":true,\"max_items\":1000,\"items\":{\"type\":\"object\","
    "\"properties\":{" SQL "," PARAMS "," EXPECT "}}}},"
    "\"outputs\":{\"results\":{\"type\":\"array\",\"items\":{\"type\":\"object\"},\"doc\":\"affected and rows of each statement\"}}}]}";

struct sql {
    const struct bw_plugin_host *host;
    struct sql_config config;
    struct mailbox *mailbox;
    struct sql_database *databases; /* as many as there are in config */
};

static void sql_fini(void *instance)
{
    struct sql *sql = instance;
    bool is_quiet = true;
    for (size_t i = 0; sql->databases && i < sql->config.count; i++) {
        if (sql->databases[i].pg) is_quiet &= pg_pool_free(sql->databases[i].pg);
        if (sql->databases[i].sqlite) sqlite_pool_free(sql->databases[i].sqlite);
    }
    free(sql->databases);
    if (!is_quiet) return; /* a thread still uses the rest; the process ends now */
    if (sql->mailbox) mailbox_free(sql->mailbox);
    sql_config_free(&sql->config);
    free(sql);
}

static bool open_databases(struct sql *sql)
{
    if (!(sql->mailbox = mailbox_new(sql->host)) || !(sql->databases = calloc(sql->config.count, sizeof *sql->databases))) return false;
    for (size_t i = 0; i < sql->config.count; i++) {
        const struct sql_database_config *config = &sql->config.databases[i];
        if (config->secret)
            sql->databases[i].pg = pg_pool_new(sql->host, sql->mailbox, config);
        else
            sql->databases[i].sqlite = sqlite_pool_new(config);
        if (!sql->databases[i].pg && !sql->databases[i].sqlite) return false;
    }
    return true;
}

static void *sql_init(const struct bw_plugin_host *host, const char *config, char *error, size_t error_size)
{
    struct sql *sql = calloc(1, sizeof *sql);
    if (sql) sql->host = host;
    if (sql && sql_config_read(&sql->config, config, error, error_size)) {
        if (open_databases(sql)) return sql;
        snprintf(error, error_size, "out of memory or descriptors");
    }
    if (sql) sql_fini(sql);
    return NULL;
}

static struct sql_database *find(const struct sql *sql, const char *name, struct sql_fault *fault)
{
    char known[300] = "";
    if (!name && sql->config.count == 1) return sql->databases;
    for (size_t i = 0; i < sql->config.count; i++) {
        size_t len = strlen(known);
        if (name && !strcmp(sql->config.databases[i].name, name)) return &sql->databases[i];
        snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "", sql->config.databases[i].name);
    }
    if (name)
        sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "there is no database '%.100s'; configured: %s", name, known);
    else
        sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "database must say which one is meant: %s", known);
    return NULL;
}

static void sql_execute(void *instance, struct bw_plugin_call *call)
{
    const struct sql *sql = instance;
    struct sql_fault fault;
    struct sql_job *job = sql_job_new(sql->host, call, &fault);
    const struct sql_database *database = job ? find(sql, job->database, &fault) : NULL;
    if (!job)
        sql->host->complete(sql->host, call,
                            &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result),
                                                       .outcome = fault.outcome,
                                                       .code = fault.code,
                                                       .message = fault.message,
                                                       .retry_after_ms = -1});
    else if (!database)
        sql_job_fail(job, &fault);
    else if (database->pg)
        pg_pool_submit_take(database->pg, job);
    else
        sqlite_pool_submit_take(database->sqlite, job);
}

static void sql_cancel(void *instance, struct bw_plugin_call *call)
{
    const struct sql *sql = instance;
    for (size_t i = 0; i < sql->config.count; i++) {
        if (sql->databases[i].pg && pg_pool_cancel(sql->databases[i].pg, call)) return;
        if (sql->databases[i].sqlite && sqlite_pool_cancel(sql->databases[i].sqlite, call)) return;
    }
}

static void sql_health(void *instance, struct bw_plugin_call *call)
{
    const struct sql *sql = instance;
    sql_health_begin(sql->host, call, sql->mailbox, &sql->config, sql->databases);
}

BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin),
    .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = manifest,
    .init = sql_init,
    .execute = sql_execute,
    .cancel = sql_cancel,
    .fini = sql_fini,
    .health = sql_health,
};
