/* job.h: what a step asks of a database, and its answer: the step's input → statements, rows → the step's output. Nothing here knows a database.
 *
 * A job belongs to whoever works on it, one thread at a time, until sql_job_done() or sql_job_fail() has completed the call and freed the job.
 * All statements of a job are one transaction. A fault before the commit was sent means that nothing has happened. */
#ifndef SQL_JOB_H
#define SQL_JOB_H
#include "bellwire_plugin.h"
#include <jansson.h>
#include <sys/queue.h>

/* Of all values of a job's rows together. What was changed must not fail because its output is more than the engine keeps of a step (1 MiB). */
#define SQL_READ_BYTES_MAX ((size_t)8 << 20)
#define SQL_WRITE_BYTES_MAX ((size_t)768 << 10)

struct sql_fault {
    enum bw_plugin_outcome outcome; /* RETRY or FAIL */
    bool is_doubtful;
    char code[40];
    char message[600];
};
/* Always false, so that a caller can return it. */
bool sql_fault_set(struct sql_fault *fault, enum bw_plugin_outcome outcome, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

struct sql_statement {
    const char *sql;
    const json_t *params; /* array; NULL = none */
    int64_t expect;       /* so many rows must be affected, else nothing happens; -1 = any number */
};

struct sql_job {
    TAILQ_ENTRY(sql_job) link; /* of whoever has it */
    const struct bw_plugin_host *host;
    struct bw_plugin_call *call;
    json_t *input;
    const char *database;  /* name; NULL = the only one */
    bool is_read;          /* nothing may be changed */
    bool is_list;          /* a transaction: the output has a list of results */
    const char *isolation; /* of PostgreSQL, as SQL says it */
    struct sql_statement *statements;
    size_t count, max_rows;
    json_t *results; /* array of {"affected", "rows"}, one for each statement that has begun to answer */
    json_t *rows;    /* of the last one; borrowed */
    size_t row_count, bytes;
    /* Instead of completing the call, just before the job is freed; any thread. fault NULL: it is done. NULL: the call is completed. */
    void (*ended)(void *arg, const struct sql_fault *fault);
    void *arg;
};
TAILQ_HEAD(sql_jobs, sql_job);

/* NULL: the input is not usable (or there is no memory), the fault says why, and the call is still open. */
struct sql_job *sql_job_new(const struct bw_plugin_host *host, struct bw_plugin_call *call, struct sql_fault *fault);
/* A question that any database answers, for a call that has no input. NULL without memory. */
struct sql_job *sql_job_new_probe(const struct bw_plugin_host *host, struct bw_plugin_call *call,
                                  void (*ended)(void *arg, const struct sql_fault *fault), void *arg);
/* An answer begins. False without memory. */
bool sql_job_begin_result(struct sql_job *job, struct sql_fault *fault);
/* Takes row, an object or NULL (no memory, or text that is no UTF-8). bytes: what its values have as text. */
bool sql_job_add_row_take(struct sql_job *job, json_t *row, size_t bytes, struct sql_fault *fault);
/* affected: rows that were changed, or returned by a statement that changes nothing. False: not what the statement expects. */
bool sql_job_end_result(struct sql_job *job, int64_t affected, struct sql_fault *fault);
void sql_job_done(struct sql_job *job);
void sql_job_fail(struct sql_job *job, const struct sql_fault *fault);
/* Sets a member of a row. A second column of the same name is called NAME_2 and so on: nothing is lost. Takes value; false if it is NULL. */
bool sql_row_set_take(json_t *row, const char *name, json_t *value);
/* The first word of a statement, in lower case, without the comments before it. */
void sql_first_word(const char *sql, char *word, size_t size);
#endif
