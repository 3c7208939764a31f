/* http/pages@1: one page after the other, until there is no more, or as many as were asked for. */
#include "input.h"
#include "paging.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pages {
    struct http_task task; /* first */
    const struct bw_plugin_host *host;
    struct bw_plugin_call *call;
    struct http_order order; /* its URL is that of the page */
    struct http_exchange exchange;
    struct http_paging paging;
    json_t *input, *items;
    char *first_url, *from;
    int64_t deadline_ms, page_ms, max_items, max_pages, max_bytes, page_count, bytes;
};

static void free_pages(struct pages *pages)
{
    http_exchange_end(&pages->exchange);
    http_order_free(&pages->order);
    json_decref(pages->input);
    json_decref(pages->items);
    free(pages->first_url);
    free(pages->from);
    free(pages);
}

/* Reading changes nothing: the next attempt begins at the first page again. */
static void fail(struct pages *pages, struct http_fault *fault)
{
    char said[sizeof fault->message];
    snprintf(said, sizeof said, "%s", fault->message);
    if (pages->from)
        snprintf(fault->message, sizeof fault->message, "page %lld (from: '%.200s'): %.500s", (long long)pages->page_count + 1, pages->from, said);
    else
        snprintf(fault->message, sizeof fault->message, "page %lld: %.500s", (long long)pages->page_count + 1, said);
    pages->call->data = NULL;
    http_complete_fault(pages->host, pages->call, fault);
    free_pages(pages);
}

static void fail_answer(struct pages *pages, const char *reason)
{
    struct http_fault fault;
    http_fault_set(&fault, BW_PLUGIN_FAIL, "http.pages", "%s", reason);
    fail(pages, &fault);
}

/* pages->from: where it would go on; NULL: nowhere. */
static void finish(struct pages *pages)
{
    json_t *output = json_pack("{s:O,s:I,s:b}", "items", pages->items, "pages", (json_int_t)pages->page_count, "complete", !pages->from);
    if (output && pages->from) json_object_set_new(output, "next", json_string(pages->from));
    pages->call->data = NULL;
    http_complete_take(pages->host, pages->call, output, false);
    free_pages(pages);
}

static void on_page(struct http_exchange *exchange, const struct http_fault *fault);

static void read_page(struct pages *pages)
{
    char reason[400];
    int64_t now_ms = http_now_ms();
    http_exchange_end(&pages->exchange);
    free(pages->order.url);
    pages->order.url = http_paging_url(&pages->paging, pages->from, reason, sizeof reason);
    pages->order.deadline_ms = now_ms + pages->page_ms < pages->deadline_ms ? now_ms + pages->page_ms : pages->deadline_ms;
    if (pages->order.url)
        http_exchange_begin(&pages->exchange, pages->host, pages->call, &pages->order, on_page);
    else
        fail_answer(pages, reason);
}

static void on_page(struct http_exchange *exchange, const struct http_fault *fault)
{
    struct pages *pages = exchange->call->data;
    const struct http_response *response = exchange->transfer ? &exchange->transfer->response : NULL;
    char reason[400], *next = NULL;
    if (fault) {
        struct http_fault own = *fault;
        fail(pages, &own);
        return;
    }
    if (pages->page_count && pages->bytes + (int64_t)response->len > pages->max_bytes) { /* whoever goes on from here reads it again */
        finish(pages);
        return;
    }
    json_t *body = json_loadb(response->body ? response->body : "", response->len, JSON_DECODE_ANY, NULL);
    snprintf(reason, sizeof reason, "the answer is no JSON");
    const json_t *items = body ? http_paging_items(&pages->paging, body, reason, sizeof reason) : NULL;
    bool good = items && !json_array_extend(pages->items, (json_t *)items) &&
                http_paging_next(&pages->paging, response, body, pages->order.url, pages->from, json_array_size(items), &next, reason, sizeof reason);
    json_decref(body);
    if (!good) {
        fail_answer(pages, reason);
        return;
    }
    pages->bytes += (int64_t)response->len;
    pages->page_count++;
    free(pages->from);
    pages->from = next;
    if (!next || pages->page_count >= pages->max_pages || (int64_t)json_array_size(pages->items) >= pages->max_items)
        finish(pages);
    else
        read_page(pages);
}

static void cancel(struct http_task *task)
{
    struct pages *pages = (struct pages *)task;
    struct http_fault fault;
    http_exchange_cancelled(&pages->exchange, &fault);
    fail(pages, &fault);
}

static bool read_input(struct pages *pages, struct http_desk *desk, char *reason, size_t size)
{
    snprintf(reason, size, "out of memory");
    if (!pages->input || !(pages->items = json_array()) || !http_order_read(&pages->order, desk, pages->call, pages->input, reason, size) ||
        (!http_header_has(pages->order.headers, "accept") && !http_header_add(&pages->order.headers, "Accept", "application/json")))
        return false;
    pages->deadline_ms = http_now_ms() + pages->call->timeout_ms;
    pages->page_ms = pages->order.deadline_ms - http_now_ms();
    pages->max_items = json_integer_value(json_object_get(pages->input, "max_items"));
    pages->max_pages = json_integer_value(json_object_get(pages->input, "max_pages"));
    pages->max_bytes = json_integer_value(json_object_get(pages->input, "max_bytes"));
    pages->first_url = pages->order.url;
    pages->order.url = NULL;
    return http_paging_read(&pages->paging, pages->input, pages->first_url, &pages->from, reason, size);
}

void http_pages_start(struct http_desk *desk, struct bw_plugin_call *call)
{
    struct pages *pages = calloc(1, sizeof *pages);
    char reason[400] = "out of memory";
    if (pages) {
        *pages = (struct pages){.task = {cancel}, .host = desk->host, .call = call, .input = json_loadb(call->input, call->input_len, 0, NULL)};
        if (read_input(pages, desk, reason, sizeof reason)) {
            call->data = pages;
            read_page(pages);
            return;
        }
        free_pages(pages);
    }
    http_complete_input(desk->host, call, reason);
}
