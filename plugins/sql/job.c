#include "job.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 300

bool sql_fault_set(struct sql_fault *fault, enum bw_plugin_outcome outcome, const char *code, const char *format, ...)
{
    va_list arguments;
    *fault = (struct sql_fault){.outcome = outcome};
    snprintf(fault->code, sizeof fault->code, "%s", code);
    va_start(arguments, format);
    vsnprintf(fault->message, sizeof fault->message, format, arguments);
    va_end(arguments);
    return false;
}

static bool out_of_memory(struct sql_fault *fault)
{
    return sql_fault_set(fault, BW_PLUGIN_RETRY, "sql.memory", "out of memory");
}

/* ---- input → statements ---- */

static const char *skip_comment(const char *at)
{
    if (at[0] == '-' && at[1] == '-') return at + strcspn(at, "\n");
    int depth = 0; /* PostgreSQL's nest */
    do {
        if (at[0] == '/' && at[1] == '*')
            depth++, at += 2;
        else if (at[0] == '*' && at[1] == '/')
            depth--, at += 2;
        else
            at++;
    } while (depth && *at);
    return at;
}

void sql_first_word(const char *sql, char *word, size_t size)
{
    size_t len = 0;
    while (*sql && (isspace((unsigned char)*sql) || *sql == ';' || (sql[0] == '-' && sql[1] == '-') || (sql[0] == '/' && sql[1] == '*')))
        sql = isspace((unsigned char)*sql) || *sql == ';' ? sql + 1 : skip_comment(sql);
    while (isalpha((unsigned char)sql[len]) && len + 1 < size) {
        word[len] = (char)tolower((unsigned char)sql[len]);
        len++;
    }
    word[len] = '\0';
}

/* What would end the transaction around it, outlive it in a connection that others use next, or speak another protocol. */
static const char *why_not(const char *word)
{
    static const struct {
        const char *words, *why;
    } rules[] = {
        {" begin start commit end rollback abort savepoint release prepare ",
         "each step is one transaction by itself: several statements are sql/transaction"},
        {" set reset discard listen unlisten deallocate execute load pragma ", "the connection is shared with other steps"},
        {" copy ", "rows come and go as values: insert … values, or select"},
        {" attach detach ", "a step works on the database that it names"},
        {" vacuum ", "it cannot run in a transaction, and each step is one"},
    };
    char padded[32];
    snprintf(padded, sizeof padded, " %.24s ", word);
    for (size_t i = 0; *word && i < sizeof rules / sizeof *rules; i++)
        if (strstr(rules[i].words, padded)) return rules[i].why;
    return NULL;
}

static bool read_statement(const json_t *from, struct sql_statement *statement, struct sql_fault *fault)
{
    const json_t *sql = json_object_get(from, "sql"), *expect = json_object_get(from, "expect");
    char word[24];
    statement->sql = json_string_value(sql);
    statement->params = json_object_get(from, "params");
    statement->expect = json_is_integer(expect) ? json_integer_value(expect) : -1;
    if (!statement->sql || strlen(statement->sql) != json_string_length(sql))
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "sql must be text");
    sql_first_word(statement->sql, word, sizeof word);
    if (!*word) return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "sql holds no statement");
    const char *why = why_not(word);
    return !why || sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.refused", "a step cannot do '%s': %s", word, why);
}

static bool read_input(struct sql_job *job, struct sql_fault *fault)
{
    const json_t *list = json_object_get(job->input, "statements");
    job->database = json_string_value(json_object_get(job->input, "database"));
    job->max_rows = (size_t)json_integer_value(json_object_get(job->input, "max_rows"));
    job->isolation = json_string_value(json_object_get(job->input, "isolation")); /* one of the manifest's, with its default */
    if (!job->isolation) job->isolation = "read committed";
    job->is_read = !strcmp(job->call->action, "sql/query");
    job->is_list = !strcmp(job->call->action, "sql/transaction");
    job->count = job->is_list ? json_array_size(list) : 1;
    if (!job->count) return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.input", "statements is empty");
    if (!(job->statements = calloc(job->count, sizeof *job->statements)) || !(job->results = json_array())) return out_of_memory(fault);
    for (size_t i = 0; i < job->count; i++)
        if (!read_statement(job->is_list ? json_array_get(list, i) : job->input, &job->statements[i], fault)) return false;
    return true;
}

static void job_free(struct sql_job *job)
{
    json_decref(job->input);
    json_decref(job->results);
    free(job->statements);
    free(job);
}

struct sql_job *sql_job_new(const struct bw_plugin_host *host, struct bw_plugin_call *call, struct sql_fault *fault)
{
    struct sql_job *job = calloc(1, sizeof *job);
    out_of_memory(fault);
    if (!job) return NULL;
    job->host = host;
    job->call = call;
    job->input = json_loadb(call->input, call->input_len, JSON_ALLOW_NUL, NULL);
    if (job->input && read_input(job, fault)) return job;
    job_free(job);
    return NULL;
}

struct sql_job *sql_job_new_probe(const struct bw_plugin_host *host, struct bw_plugin_call *call,
                                  void (*ended)(void *arg, const struct sql_fault *fault), void *arg)
{
    struct sql_job *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    *job = (struct sql_job){
        .host = host, .call = call, .is_read = true, .isolation = "read committed", .count = 1, .max_rows = 1, .ended = ended, .arg = arg};
    if ((job->statements = calloc(1, sizeof *job->statements)) && (job->results = json_array())) {
        job->statements[0] = (struct sql_statement){.sql = "select 1", .expect = -1};
        return job;
    }
    job_free(job);
    return NULL;
}

/* ---- rows → output ---- */

bool sql_job_begin_result(struct sql_job *job, struct sql_fault *fault)
{
    json_t *result = json_object();
    job->rows = json_array();
    job->row_count = 0;
    if (result && job->rows && !json_object_set_new(result, "rows", job->rows) && !json_array_append_new(job->results, result)) return true;
    return out_of_memory(fault);
}

bool sql_job_add_row_take(struct sql_job *job, json_t *row, size_t bytes, struct sql_fault *fault)
{
    job->bytes += bytes;
    job->host->heartbeat(job->host, job->call);
    if (!row) return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.encoding", "a value of row %zu is no text in UTF-8, or holds NUL", job->row_count + 1);
    if (++job->row_count > job->max_rows) {
        json_decref(row);
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.too_many_rows", "the answer has more than max_rows = %zu rows%s", job->max_rows,
                             job->is_read ? ": write a limit, or a larger max_rows" : ", and nothing was changed: write a larger max_rows");
    }
    size_t most = job->is_read ? SQL_READ_BYTES_MAX : SQL_WRITE_BYTES_MAX;
    if (job->bytes > most) {
        json_decref(row);
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.too_large", "the answer has more than %zu bytes%s: ask for fewer columns or rows", most,
                             job->is_read ? "" : ", and nothing was changed");
    }
    return !json_array_append_new(job->rows, row) || out_of_memory(fault);
}

bool sql_job_end_result(struct sql_job *job, int64_t affected, struct sql_fault *fault)
{
    size_t index = json_array_size(job->results) - 1;
    int64_t expect = job->statements[index].expect;
    job->host->heartbeat(job->host, job->call);
    if (expect >= 0 && affected != expect) {
        char which[48] = "the statement";
        if (job->is_list) snprintf(which, sizeof which, "statement %zu", index + 1);
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.unexpected_rows", "%s concerns %lld row%s and expects %lld: nothing was changed", which,
                             (long long)affected, affected == 1 ? "" : "s", (long long)expect);
    }
    return !json_object_set_new(json_array_get(job->results, index), "affected", json_integer(affected)) || out_of_memory(fault);
}

bool sql_row_set_take(json_t *row, const char *name, json_t *value)
{
    char other[NAME_BYTES];
    if (!value) return false;
    if (!json_object_get(row, name)) return !json_object_set_new(row, name, value);
    for (unsigned i = 2;; i++) {
        snprintf(other, sizeof other, "%.280s_%u", name, i);
        if (!json_object_get(row, other)) return !json_object_set_new(row, other, value);
    }
}

static json_t *output_of(const struct sql_job *job)
{
    json_t *first = json_array_get(job->results, 0), *rows = json_object_get(first, "rows");
    if (job->is_list) return json_pack("{s:O}", "results", job->results);
    if (job->is_read) return json_pack("{s:O,s:I}", "rows", rows, "count", (json_int_t)json_array_size(rows));
    return json_incref(first);
}

void sql_job_done(struct sql_job *job)
{
    if (job->ended) {
        job->ended(job->arg, NULL);
        job_free(job);
        return;
    }
    json_t *output = output_of(job);
    char *text = output ? json_dumps(output, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(output);
    if (!text) {
        struct sql_fault fault;
        out_of_memory(&fault);
        fault.is_doubtful = !job->is_read; /* it is committed */
        sql_job_fail(job, &fault);
        return;
    }
    job->host->complete(
        job->host, job->call,
        &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = text, .output_len = strlen(text)});
    free(text);
    job_free(job);
}

void sql_job_fail(struct sql_job *job, const struct sql_fault *fault)
{
    if (job->ended) {
        job->ended(job->arg, fault);
        job_free(job);
        return;
    }
    job->host->complete(job->host, job->call,
                        &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result),
                                                   .outcome = fault->outcome,
                                                   .code = fault->code,
                                                   .message = fault->message,
                                                   .retry_after_ms = -1,
                                                   .is_doubtful = fault->is_doubtful && !job->is_read});
    job_free(job);
}
