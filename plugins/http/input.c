#include "input.h"
#include "url.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "250ms", "10s", "2m": how long the whole request may take. The step's own timeout stays the upper bound. */
static bool read_timeout(const json_t *value, int64_t *timeout_ms, char *reason, size_t size)
{
    const char *text = json_string_value(value);
    char *unit;
    if (!value) return true;
    double amount = text ? strtod(text, &unit) : 0;
    double scale = !text ? 0 : !strcmp(unit, "ms") ? 1 : !strcmp(unit, "s") ? 1000 : !strcmp(unit, "m") ? 60000 : 0;
    if (!(amount * scale >= 1) || amount * scale > 86400000) {
        snprintf(reason, size, "timeout must be a duration such as 500ms, 10s or 2m");
        return false;
    }
    if (amount * scale < (double)*timeout_ms) *timeout_ms = (int64_t)(amount * scale);
    return true;
}

static bool read_accepted(struct http_accepted *accepted, const json_t *list, char *reason, size_t size)
{
    size_t index;
    json_t *status;
    json_array_foreach(list, index, status)
    {
        if (!json_is_integer(status) || accepted->count == sizeof accepted->statuses / sizeof *accepted->statuses) {
            snprintf(reason, size, "accept_status must be a list of at most 16 numbers such as [404]");
            return false;
        }
        accepted->statuses[accepted->count++] = (int)json_integer_value(status);
    }
    return true;
}

static bool add_header(struct http_order *order, const char *name, const char *value, char *reason, size_t size)
{
    if (http_header_add(&order->headers, name, value)) return true;
    snprintf(reason, size, "header '%.100s' is not allowed: a name must be a token, a value must hold no line break and at most 8 kB", name);
    return false;
}

static bool read_headers(struct http_order *order, const json_t *headers, char *reason, size_t size)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)headers, name, value)
    {
        char number[64];
        const char *text = json_string_value(value);
        if (json_is_integer(value)) snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value)), text = number;
        if (!text || strlen(text) != (json_is_string(value) ? json_string_length(value) : strlen(text))) {
            snprintf(reason, size, "header '%.100s' must be a string or an integer", name);
            return false;
        }
        if (!add_header(order, name, text, reason, size)) return false;
    }
    return true;
}

/* semantics.md 2.5: whatever can change something carries the key, so that a repeated attempt is recognised. */
static bool add_own_headers(struct http_order *order, const struct bw_plugin_call *call, bool is_json, char *reason, size_t size)
{
    bool can_change = strcmp(order->method, "GET") && strcmp(order->method, "HEAD") && strcmp(order->method, "OPTIONS");
    return (!is_json || http_header_has(order->headers, "content-type") || add_header(order, "Content-Type", "application/json", reason, size)) &&
           (!can_change || http_header_has(order->headers, "idempotency-key") ||
            add_header(order, "Idempotency-Key", call->idempotency_key, reason, size));
}

static bool read_body(struct http_order *order, const json_t *json, const json_t *body, char *reason, size_t size)
{
    if (json && body) {
        snprintf(reason, size, "give json or body, not both");
        return false;
    }
    if (json) {
        order->body = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
        order->body_len = order->body ? strlen(order->body) : 0;
    } else if (body) {
        order->body_len = json_string_length(body);
        if ((order->body = malloc(order->body_len + 1))) memcpy(order->body, json_string_value(body), order->body_len + 1);
    } else {
        return true;
    }
    if (!order->body) snprintf(reason, size, "out of memory");
    return order->body != NULL;
}

static bool read_url(struct http_order *order, const struct http_desk *desk, const json_t *input, char *reason, size_t size)
{
    const json_t *url = json_object_get(input, "url");
    const char *text = json_string_value(url), *connection = json_string_value(json_object_get(input, "connection"));
    order->loop = desk->loop;
    if (!text || http_has_break(text, json_string_length(url))) {
        snprintf(reason, size, "url must be text without line breaks");
        return false;
    }
    if (connection) {
        if (!(order->connection = http_connections_find(&desk->connections, connection, reason, size))) return false;
        order->loop = order->connection->loop;
        return (order->url = http_connection_url(order->connection, text, reason, size)) != NULL;
    }
    if (http_url_has_scheme(text)) return (order->url = strdup(text)) != NULL;
    snprintf(reason, size, "url must begin with https:// or http://");
    return false;
}

bool http_order_read(struct http_order *order, const struct http_desk *desk, const struct bw_plugin_call *call, const json_t *input, char *reason,
                     size_t size)
{
    const char *method = json_string_value(json_object_get(input, "method"));
    const json_t *json = json_object_get(input, "json");
    int64_t timeout_ms = call->timeout_ms;
    snprintf(reason, size, "out of memory");
    *order = (struct http_order){.is_once = call->size >= offsetof(struct bw_plugin_call, is_once) + sizeof call->is_once && call->is_once};
    snprintf(order->method, sizeof order->method, "%s", method ? method : "GET");
    if (!read_url(order, desk, input, reason, size) || !read_timeout(json_object_get(input, "timeout"), &timeout_ms, reason, size) ||
        !read_accepted(&order->accepted, json_object_get(input, "accept_status"), reason, size) ||
        !read_body(order, json, json_object_get(input, "body"), reason, size) ||
        !read_headers(order, json_object_get(input, "headers"), reason, size) || !add_own_headers(order, call, json != NULL, reason, size))
        return false;
    order->deadline_ms = http_now_ms() + timeout_ms;
    return true;
}

/* ---- the end of a call ---- */

void http_complete_fault(const struct bw_plugin_host *host, struct bw_plugin_call *call, const struct http_fault *fault)
{
    host->complete(host, call,
                   &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result),
                                              .outcome = fault->outcome,
                                              .code = fault->code,
                                              .message = fault->message,
                                              .retry_after_ms = fault->retry_after_ms,
                                              .is_doubtful = fault->is_doubtful});
}

void http_complete_input(const struct bw_plugin_host *host, struct bw_plugin_call *call, const char *reason)
{
    struct http_fault fault;
    http_fault_set(&fault, BW_PLUGIN_FAIL, "http.input", "%s", reason);
    http_complete_fault(host, call, &fault);
}

void http_complete_take(const struct bw_plugin_host *host, struct bw_plugin_call *call, json_t *output, bool is_doubtful)
{
    char *text = output ? json_dumps(output, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    struct http_fault fault;
    http_fault_set(&fault, BW_PLUGIN_RETRY, "http.memory", "out of memory");
    fault.is_doubtful = is_doubtful;
    json_decref(output);
    if (text)
        host->complete(
            host, call,
            &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = text, .output_len = strlen(text)});
    else
        http_complete_fault(host, call, &fault);
    free(text);
}
