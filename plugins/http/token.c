#include "token.h"
#include "connection.h"
#include "shared/text.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define FETCH_MS 20000
#define ANSWER_BYTES_MAX 65536u
#define EARLY_MS 30000                   /* so long before its end a token is not used any more, or a quarter of its life if that is less */
#define UNKNOWN_LIFE_MS (60 * 60 * 1000) /* its server did not say how long it is good for */
#define LIFE_MAX_S (7 * 24 * 3600)

struct http_token {
    const struct bw_plugin_host *host;
    const struct http_connection *connection;
    const json_t *oauth2;
    char *value; /* NULL: none */
    int64_t until_ms;
    unsigned generation;
    struct http_transfer *fetch; /* NULL: none is under way */
    struct http_token_waiter *waiters;
};

int64_t http_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void forget(struct http_token *token)
{
    if (token->value) OPENSSL_cleanse(token->value, strlen(token->value));
    free(token->value);
    token->value = NULL;
}

struct http_token *http_token_new(const struct bw_plugin_host *host, const struct http_connection *connection, const json_t *oauth2)
{
    struct http_token *token = calloc(1, sizeof *token);
    if (!token) return NULL;
    token->host = host;
    token->connection = connection;
    token->oauth2 = oauth2;
    return token;
}

void http_token_free(struct http_token *token)
{
    if (!token) return;
    http_transfer_free(token->fetch);
    forget(token);
    free(token);
}

const char *http_token_current(const struct http_token *token, unsigned *generation)
{
    *generation = token->generation;
    return token->value && http_now_ms() < token->until_ms ? token->value : NULL;
}

const char *http_token_latest(const struct http_token *token, unsigned *generation)
{
    *generation = token->generation;
    return token->value;
}

void http_token_reject(struct http_token *token, unsigned generation)
{
    if (generation == token->generation) forget(token);
}

/* ---- the answer ---- */

/* VSCHAR of RFC 6749, appendix A.12; a blank would end it in the header. */
static bool is_sound(const char *value)
{
    size_t len = strlen(value);
    for (size_t i = 0; i < len; i++)
        if (value[i] <= ' ' || value[i] > '~') return false;
    return len > 0;
}

static int64_t life_ms(const json_t *answer)
{
    const json_t *given = json_object_get(answer, "expires_in");
    double seconds = json_is_string(given) ? strtod(json_string_value(given), NULL) : json_number_value(given); /* some write it as a text */
    if (!json_is_string(given) && !json_is_number(given)) return UNKNOWN_LIFE_MS;
    if (!(seconds > 0)) return 0; /* those that wait for it use it, and nobody else */
    int64_t life = (int64_t)((seconds < LIFE_MAX_S ? seconds : LIFE_MAX_S) * 1000), early = life / 4 < EARLY_MS ? life / 4 : EARLY_MS;
    return life - early;
}

static bool take(struct http_token *token, const json_t *answer, struct http_fault *fault)
{
    const char *value = json_string_value(json_object_get(answer, "access_token")), *type = json_string_value(json_object_get(answer, "token_type"));
    if (!value || !is_sound(value)) {
        http_fault_set(fault, BW_PLUGIN_FAIL, "http.token", "the token server's answer has no access_token that can be sent");
        return false;
    }
    if (!type || strcasecmp(type, "bearer") != 0) { /* RFC 6749, 7.1 */
        http_fault_set(fault, BW_PLUGIN_FAIL, "http.token", "the token server gave a token of the type '%.50s': only Bearer is known",
                       type ? type : "");
        return false;
    }
    http_fault_set(fault, BW_PLUGIN_RETRY, "http.memory", "out of memory");
    forget(token);
    token->generation++;
    token->until_ms = http_now_ms() + life_ms(answer);
    return (token->value = strdup(value)) != NULL;
}

/* RFC 6749, 5.2: what is wrong stands in `error` and `error_description`. */
static void explain(const struct http_transfer *transfer, const json_t *answer, struct http_fault *fault)
{
    const char *error = json_string_value(json_object_get(answer, "error")),
               *description = json_string_value(json_object_get(answer, "error_description"));
    char said[300];
    if (transfer->response.status >= 400 && error)
        snprintf(said, sizeof said, "the server answered %ld: %.60s%s%.200s", transfer->response.status, error, description ? ": " : "",
                 description ? description : "");
    else
        snprintf(said, sizeof said, "%.299s", fault->message);
    snprintf(fault->message, sizeof fault->message, "no token: %s", said);
    if (strcmp(fault->code, "http.address_denied") != 0) fault->code = "http.token";
    fault->is_doubtful = false; /* nothing of the step has been sent */
}

static void on_answer(struct http_transfer *transfer, CURLcode result, void *arg)
{
    static const struct http_accepted none;
    struct http_token *token = arg;
    struct http_fault fault;
    json_t *answer = transfer->response.len ? json_loadb(transfer->response.body, transfer->response.len, 0, NULL) : NULL;
    bool good = http_judge(transfer, result, &none, &fault);
    if (good)
        good = take(token, answer, &fault);
    else
        explain(transfer, answer, &fault);
    json_decref(answer);
    if (transfer->response.body) OPENSSL_cleanse(transfer->response.body, transfer->response.len);
    token->fetch = NULL;
    http_transfer_free(transfer);
    for (struct http_token_waiter *waiter; (waiter = token->waiters);) {
        token->waiters = waiter->next;
        waiter->ready(waiter, good ? NULL : &fault);
    }
}

/* ---- the request ---- */

static void add_field(struct text *form, const char *name, const char *value)
{
    char *encoded_name = curl_easy_escape(NULL, name, 0), *encoded = curl_easy_escape(NULL, value, 0);
    if (!encoded || !encoded_name) {
        form->has_failed = true;
    } else {
        if (form->len) text_append(form, "&", 1);
        text_append(form, encoded_name, strlen(encoded_name));
        text_append(form, "=", 1);
        text_append(form, encoded, strlen(encoded));
        OPENSSL_cleanse(encoded, strlen(encoded));
    }
    curl_free(encoded_name);
    curl_free(encoded);
}

/* RFC 6749, 2.3.1: both are form-encoded before they are joined. */
static bool add_basic(struct curl_slist **headers, const char *id, const char *secret)
{
    char *encoded_id = curl_easy_escape(NULL, id, 0), *encoded = curl_easy_escape(NULL, secret, 0);
    char *basic = encoded_id && encoded ? http_basic(encoded_id, encoded) : NULL, line[8192];
    bool good = basic && (size_t)snprintf(line, sizeof line, "Basic %s", basic) < sizeof line && http_header_add(headers, "Authorization", line);
    if (encoded) OPENSSL_cleanse(encoded, strlen(encoded));
    if (basic) OPENSSL_cleanse(basic, strlen(basic));
    OPENSSL_cleanse(line, sizeof line);
    curl_free(encoded_id);
    curl_free(encoded);
    free(basic);
    return good;
}

static bool fill(const struct http_token *token, const char *secret, struct text *form, struct curl_slist **headers)
{
    const char *scope = json_string_value(json_object_get(token->oauth2, "scope")),
               *how = json_string_value(json_object_get(token->oauth2, "client_auth")),
               *id = json_string_value(json_object_get(token->oauth2, "client_id")), *name;
    json_t *value;
    bool is_basic = !how || !strcmp(how, "basic");
    add_field(form, "grant_type", "client_credentials");
    if (scope) add_field(form, "scope", scope);
    json_object_foreach(json_object_get(token->oauth2, "params"), name, value) add_field(form, name, json_string_value(value));
    if (!is_basic) add_field(form, "client_id", id);
    if (!is_basic && secret) add_field(form, "client_secret", secret);
    return !form->has_failed && http_header_add(headers, "Content-Type", "application/x-www-form-urlencoded") &&
           http_header_add(headers, "Accept", "application/json") && (!is_basic || add_basic(headers, id, secret));
}

static bool begin(struct http_token *token, const struct bw_plugin_call *call, struct http_fault *fault)
{
    struct text form = {0};
    struct curl_slist *headers = NULL;
    struct http_transfer *transfer = NULL;
    char reason[400] = "out of memory";
    const char *secret = http_connection_secret(token->oauth2, "client_secret", token->host, call, reason, sizeof reason);
    if ((secret || !json_object_get(token->oauth2, "client_secret")) && fill(token, secret, &form, &headers))
        transfer = http_transfer_new(token->host,
                                     &(struct http_wanted){.method = "POST",
                                                           .url = json_string_value(json_object_get(token->oauth2, "token_url")),
                                                           .headers = headers,
                                                           .body = form.bytes,
                                                           .body_len = form.len,
                                                           .timeout_ms = FETCH_MS,
                                                           .max_bytes = ANSWER_BYTES_MAX},
                                     reason, sizeof reason);
    http_header_free(headers);
    if (form.bytes) OPENSSL_cleanse(form.bytes, form.len);
    text_free(&form);
    if (transfer) transfer->is_repeatable = true; /* a token too many does no harm */
    if (transfer && http_connection_equip(token->connection, call, transfer, reason, sizeof reason) &&
        http_transfer_start(transfer, token->connection->loop, on_answer, token)) {
        token->fetch = transfer;
        return true;
    }
    http_transfer_free(transfer);
    http_fault_set(fault, BW_PLUGIN_FAIL, "http.token", "no token: %s", reason);
    return false;
}

bool http_token_wait(struct http_token *token, struct http_token_waiter *waiter, const struct bw_plugin_call *call, struct http_fault *fault)
{
    struct http_token_waiter **at = &token->waiters;
    if (!token->fetch && !begin(token, call, fault)) return false;
    while (*at) at = &(*at)->next;
    waiter->next = NULL;
    *at = waiter;
    return true;
}

void http_token_leave(struct http_token *token, struct http_token_waiter *waiter)
{
    for (struct http_token_waiter **at = &token->waiters; *at; at = &(*at)->next)
        if (*at == waiter) {
            *at = waiter->next;
            return;
        }
}
