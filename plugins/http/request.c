/* http/request@1: one request, one answer. */
#include "input.h"
#include <stdlib.h>
#include <string.h>

struct request {
    struct http_task task; /* first */
    struct http_order order;
    struct http_exchange exchange;
};

static void free_request(struct request *request)
{
    http_exchange_end(&request->exchange);
    http_order_free(&request->order);
    free(request);
}

static json_t *output_of(const struct http_response *response)
{
    const char *type = json_string_value(json_object_get(response->headers, "content-type"));
    json_t *output = json_pack("{s:i,s:O}", "status", (int)response->status, "headers", response->headers),
           *body = json_stringn(response->body ? response->body : "", response->len);
    if (output && type && strstr(type, "json") && response->len) {
        json_t *parsed = json_loadb(response->body, response->len, JSON_DECODE_ANY, NULL);
        if (parsed) json_object_set_new(output, "json", parsed);
    }
    json_object_set_new(output, "body", body ? body : json_string("")); /* bytes that are no text are left out */
    return output;
}

static void on_done(struct http_exchange *exchange, const struct http_fault *fault)
{
    struct request *request = exchange->call->data;
    exchange->call->data = NULL;
    if (fault)
        http_complete_fault(exchange->host, exchange->call, fault);
    else /* if it fails now, it does so behind the effect */
        http_complete_take(exchange->host, exchange->call, output_of(&exchange->transfer->response), exchange->transfer->can_change);
    free_request(request);
}

static void cancel(struct http_task *task)
{
    struct request *request = (struct request *)task;
    struct http_fault fault;
    http_exchange_cancelled(&request->exchange, &fault);
    http_complete_fault(request->exchange.host, request->exchange.call, &fault);
    free_request(request);
}

void http_request_start(struct http_desk *desk, struct bw_plugin_call *call)
{
    json_t *input = json_loadb(call->input, call->input_len, 0, NULL);
    struct request *request = calloc(1, sizeof *request);
    char reason[400] = "out of memory";
    bool is_read = input && request && http_order_read(&request->order, desk, call, input, reason, sizeof reason);
    json_decref(input);
    if (is_read) {
        request->task.cancel = cancel;
        call->data = request;
        http_exchange_begin(&request->exchange, desk->host, call, &request->order, on_done);
        return;
    }
    if (request) http_order_free(&request->order);
    free(request);
    http_complete_input(desk->host, call, reason);
}
