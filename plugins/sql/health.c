#include "health.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct question {
    struct letter letter; /* first: how a database has answered is told by any thread */
    const struct bw_plugin_host *host;
    struct bw_plugin_call *call;
    struct mailbox *mailbox;
    const struct sql_config *config;
    const struct sql_database *databases;
    size_t at;
    bool has_failed;
    struct sql_fault fault;
};

static void end(struct question *question, enum bw_plugin_outcome outcome, const char *code, const char *message)
{
    question->host->complete(
        question->host, question->call,
        &(struct bw_plugin_result){
            .size = sizeof(struct bw_plugin_result), .outcome = outcome, .code = code, .message = message, .retry_after_ms = -1});
    free(question);
}

static void on_ended(void *arg, const struct sql_fault *fault)
{
    struct question *question = arg;
    question->has_failed = fault != NULL;
    if (fault) question->fault = *fault;
    mailbox_post(question->mailbox, &question->letter);
}

/* Whose connections all work for somebody is not made to wait for more: how it is, those find out. */
static bool is_busy(const struct sql_database *database)
{
    return database->pg ? pg_pool_is_busy(database->pg) : sqlite_pool_is_busy(database->sqlite);
}

static void ask_next(struct question *question)
{
    while (question->at < question->config->count && is_busy(&question->databases[question->at])) question->at++;
    if (question->at == question->config->count) {
        end(question, BW_PLUGIN_OK, NULL, NULL);
        return;
    }
    const struct sql_database *database = &question->databases[question->at];
    struct sql_job *job = sql_job_new_probe(question->host, question->call, on_ended, question);
    if (!job)
        end(question, BW_PLUGIN_RETRY, "sql.memory", "out of memory");
    else if (database->pg)
        pg_pool_submit_take(database->pg, job);
    else
        sqlite_pool_submit_take(database->sqlite, job);
}

static void on_answer(struct letter *letter)
{
    struct question *question = (struct question *)letter;
    char message[800];
    if (question->has_failed) {
        struct sql_fault fault = question->fault;
        snprintf(message, sizeof message, "database '%.100s': %s", question->config->databases[question->at].name, fault.message);
        end(question, fault.outcome, fault.code, message);
    } else if (question->host->is_cancelled(question->host, question->call)) {
        end(question, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED, "there was no time to ask all databases");
    } else {
        question->at++;
        ask_next(question);
    }
}

void sql_health_begin(const struct bw_plugin_host *host, struct bw_plugin_call *call, struct mailbox *mailbox, const struct sql_config *config,
                      const struct sql_database *databases)
{
    struct question *question = calloc(1, sizeof *question);
    if (!question) {
        host->complete(host, call,
                       &(struct bw_plugin_result){
                           .size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_RETRY, .code = "sql.memory", .message = "out of memory"});
        return;
    }
    *question =
        (struct question){.letter = {.open = on_answer}, .host = host, .call = call, .mailbox = mailbox, .config = config, .databases = databases};
    ask_next(question);
}
