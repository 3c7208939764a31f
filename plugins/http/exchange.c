#include "exchange.h"
#include <openssl/crypto.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREDENTIAL_MIN 8 /* hiding shorter ones would hide ordinary words */

void http_order_free(struct http_order *order)
{
    free(order->url);
    free(order->body);
    http_header_free(order->headers);
    *order = (struct http_order){0};
}

static void forget_credential(struct http_exchange *exchange)
{
    if (exchange->credential) OPENSSL_cleanse(exchange->credential, strlen(exchange->credential));
    free(exchange->credential);
    exchange->credential = NULL;
    http_header_free(exchange->headers);
    exchange->headers = NULL;
}

static void stop_waiting(struct http_exchange *exchange)
{
    if (exchange->order && exchange->order->connection && exchange->order->connection->token)
        http_token_leave(exchange->order->connection->token, &exchange->waiter);
    if (exchange->timer) exchange->host->cancel_timer(exchange->host, exchange->timer);
    exchange->timer = NULL;
}

void http_exchange_end(struct http_exchange *exchange)
{
    stop_waiting(exchange);
    http_transfer_free(exchange->transfer);
    exchange->transfer = NULL;
    forget_credential(exchange);
}

static void fail(struct http_exchange *exchange, enum bw_plugin_outcome outcome, const char *code, const char *message)
{
    struct http_fault fault;
    http_fault_set(&fault, outcome, code, "%s", message);
    exchange->done(exchange, &fault);
}

/* ---- what was sent as a credential and comes back is hidden ---- */

static void hide_in_text(char *text, size_t len, const char *credential)
{
    size_t credential_len = strlen(credential);
    for (char *at = text; (at = memmem(at, len - (size_t)(at - text), credential, credential_len));) memset(at, '*', credential_len);
}

static void hide_in_headers(json_t *headers, const char *credential)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(headers, next, name, value)
    {
        if (!strstr(json_string_value(value), credential)) continue;
        char *text = strdup(json_string_value(value));
        if (text) hide_in_text(text, strlen(text), credential);
        json_string_set(value, text ? text : "");
        free(text);
    }
}

static void hide_credential(struct http_exchange *exchange)
{
    struct http_response *response = &exchange->transfer->response;
    const char *credential = exchange->credential;
    if (!credential || strlen(credential) < CREDENTIAL_MIN) return;
    if (response->body) hide_in_text(response->body, response->len, credential);
    hide_in_headers(response->headers, credential);
}

/* ---- the request ---- */

static void begin(struct http_exchange *exchange);

/* A server that says 401 has not acted. The token may have been taken back before its time: another one is asked for, once, unless this one was
 * fetched for this very request. */
static bool renew(struct http_exchange *exchange, CURLcode result)
{
    struct http_connection *connection = exchange->order->connection;
    if (!connection || !connection->token || result != CURLE_OK || exchange->transfer->response.status != 401) return false;
    http_token_reject(connection->token, exchange->generation);
    if (exchange->has_waited || exchange->was_renewed) return false;
    exchange->was_renewed = true;
    if (exchange->order->is_once) {
        fail(exchange, BW_PLUGIN_RETRY, "http.status", "the server answered 401: the token is not good any more, the next attempt asks for another");
        return true;
    }
    http_exchange_end(exchange);
    begin(exchange);
    return true;
}

static void on_over(struct http_transfer *transfer, CURLcode result, void *arg)
{
    struct http_exchange *exchange = arg;
    struct http_fault fault;
    if (renew(exchange, result)) return;
    hide_credential(exchange);
    bool good = http_judge(transfer, result, &exchange->order->accepted, &fault);
    exchange->done(exchange, good ? NULL : &fault);
}

static void send_request(struct http_exchange *exchange)
{
    const struct http_order *order = exchange->order;
    int64_t left_ms = order->deadline_ms - http_now_ms();
    char reason[400];
    struct http_wanted wanted = {.method = order->method,
                                 .url = order->url,
                                 .headers = exchange->headers,
                                 .body = order->body,
                                 .body_len = order->body_len,
                                 .timeout_ms = left_ms > 0 ? left_ms : 1,
                                 .max_bytes = HTTP_RESPONSE_BYTES_MAX,
                                 .is_once = order->is_once};
    exchange->transfer = http_transfer_new(exchange->host, &wanted, reason, sizeof reason);
    if (exchange->transfer &&
        (!order->connection || http_connection_equip(order->connection, exchange->call, exchange->transfer, reason, sizeof reason))) {
        if (http_transfer_start(exchange->transfer, order->loop, on_over, exchange)) return;
        snprintf(reason, sizeof reason, "out of memory");
    }
    fail(exchange, BW_PLUGIN_FAIL, "http.input", reason);
}

static bool add_token(struct http_exchange *exchange, const char *token)
{
    size_t len = strlen(token) + sizeof "Bearer ";
    char *value = malloc(len);
    bool good = false;
    if (value) {
        snprintf(value, len, "Bearer %s", token);
        good = http_header_add(&exchange->headers, "Authorization", value) && (exchange->credential = strdup(token));
        OPENSSL_cleanse(value, len);
    }
    free(value);
    return good;
}

static void on_token(struct http_token_waiter *waiter, const struct http_fault *fault)
{
    struct http_exchange *exchange = (struct http_exchange *)((char *)waiter - offsetof(struct http_exchange, waiter));
    const char *token = http_token_latest(exchange->order->connection->token, &exchange->generation);
    stop_waiting(exchange);
    if (fault)
        exchange->done(exchange, fault);
    else if (!token || !add_token(exchange, token))
        fail(exchange, BW_PLUGIN_FAIL, "http.token", "the token cannot be sent: it is longer than 8 kB");
    else
        send_request(exchange);
}

static void on_deadline(void *arg)
{
    struct http_exchange *exchange = arg;
    exchange->timer = NULL;
    stop_waiting(exchange);
    fail(exchange, BW_PLUGIN_RETRY, "http.timeout", "the time was over before the token server answered; nothing was sent");
}

static void wait_for_token(struct http_exchange *exchange)
{
    int64_t left_ms = exchange->order->deadline_ms - http_now_ms();
    struct http_fault fault;
    exchange->has_waited = true;
    exchange->waiter.ready = on_token;
    if (!http_token_wait(exchange->order->connection->token, &exchange->waiter, exchange->call, &fault))
        exchange->done(exchange, &fault);
    else if (!(exchange->timer = exchange->host->timer(exchange->host, left_ms, on_deadline, exchange)))
        on_deadline(exchange);
}

static void use_token(struct http_exchange *exchange)
{
    const char *token = http_token_current(exchange->order->connection->token, &exchange->generation);
    if (!token)
        wait_for_token(exchange);
    else if (add_token(exchange, token))
        send_request(exchange);
    else
        fail(exchange, BW_PLUGIN_FAIL, "http.token", "the token cannot be sent: it is longer than 8 kB");
}

static void begin(struct http_exchange *exchange)
{
    const struct http_order *order = exchange->order;
    char reason[400] = "out of memory";
    for (const struct curl_slist *line = order->headers; line; line = line->next) {
        struct curl_slist *grown = curl_slist_append(exchange->headers, line->data);
        if (!grown) {
            fail(exchange, BW_PLUGIN_RETRY, "http.memory", reason);
            return;
        }
        exchange->headers = grown;
    }
    if (order->connection &&
        !http_connection_headers(order->connection, exchange->host, exchange->call, &exchange->headers, &exchange->credential, reason, sizeof reason))
        fail(exchange, BW_PLUGIN_FAIL, "http.input", reason);
    else if (order->connection && order->connection->token)
        use_token(exchange);
    else
        send_request(exchange);
}

void http_exchange_begin(struct http_exchange *exchange, const struct bw_plugin_host *host, struct bw_plugin_call *call,
                         const struct http_order *order, void (*done)(struct http_exchange *exchange, const struct http_fault *fault))
{
    *exchange = (struct http_exchange){.host = host, .call = call, .order = order, .done = done};
    begin(exchange);
}

void http_exchange_cancelled(const struct http_exchange *exchange, struct http_fault *fault)
{
    http_fault_set(fault, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED, "the request was broken off, because the step is not wanted any more");
    fault->is_doubtful = exchange->transfer && exchange->transfer->can_change && http_transfer_was_sent(exchange->transfer);
}
