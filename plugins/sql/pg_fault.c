/* What the server says → an error of the step, by its SQLSTATE (PostgreSQL manual, appendix A). */
#include "pg_internal.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What may pass: of the server, of the moment, or of somebody else's transaction. */
static bool may_pass(const char *sqlstate)
{
    static const char *const beginnings[] = {"08", "40001", "40003", "40P01", "53", "55006", "55P03", "57014", "57P0", "58030"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (!strncmp(sqlstate, beginnings[i], strlen(beginnings[i]))) return true;
    return false;
}

bool pg_is_lost(const char *sqlstate)
{
    return !strncmp(sqlstate, "08", 2) || !strncmp(sqlstate, "57P0", 4) || !strcmp(sqlstate, "40003");
}

static void set(struct sql_fault *fault, const char *sqlstate, const char *message)
{
    char code[sizeof fault->code];
    snprintf(code, sizeof code, "sql.%.5s", sqlstate);
    sql_fault_set(fault, may_pass(sqlstate) ? BW_PLUGIN_RETRY : BW_PLUGIN_FAIL, code, "%s", message);
}

void pg_fault_of_result(const PGresult *result, struct sql_fault *fault)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE), *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL), *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    char message[sizeof fault->message], place[40] = "";
    if (!state) {
        sql_fault_set(fault, BW_PLUGIN_RETRY, "sql.connection", "the connection broke: %.300s", PQresultErrorMessage(result));
        return;
    }
    if (position) snprintf(place, sizeof place, " at character %.10s", position);
    snprintf(message, sizeof message, "%.300s%s%s%.150s%s%.100s", primary ? primary : "the server gave no reason", place, detail ? ": " : "",
             detail ? detail : "", hint ? "; " : "", hint ? hint : "");
    set(fault, state, message);
}

/* While connecting libpq has the SQLSTATE in its text alone, which is verbose then: "FATAL:  28P01: password authentication failed …". */
static const char *find_sqlstate(const char *text, char *state)
{
    for (const char *at = text; (at = strstr(at, ":  ")); at += 3) {
        size_t len = 0;
        while (len < 5 && (isupper((unsigned char)at[3 + len]) || isdigit((unsigned char)at[3 + len]))) len++;
        if (len < 5 || strncmp(at + 8, ": ", 2) != 0) continue;
        memcpy(state, at + 3, 5);
        state[5] = '\0';
        return at + 10;
    }
    return NULL;
}

void pg_fault_of_connection(const PGconn *pg, const char *what, struct sql_fault *fault)
{
    const char *text = PQerrorMessage(pg);
    char state[6], message[sizeof fault->message];
    const char *said = find_sqlstate(text, state);
    size_t len = strcspn(said ? said : text, "\n");
    snprintf(message, sizeof message, "%s: %.*s", what, (int)(len < 400 ? len : 400), said ? said : text);
    if (said)
        set(fault, state, message);
    else if (strstr(text, "certificate") || strstr(text, "does not support SSL"))
        sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.tls", "%s", message);
    else
        sql_fault_set(fault, BW_PLUGIN_RETRY, "sql.connection", "%s", message);
}
