/* input.h: a step's inputs → what is to be sent; and how a call ends. Pure but for the completion. */
#ifndef HTTP_INPUT_H
#define HTTP_INPUT_H
#include "exchange.h"
#include "task.h"

/* url, connection, method (GET if there is none), headers, json, body, timeout, accept_status. False: reason. http_order_free() in either case. */
bool http_order_read(struct http_order *order, const struct http_desk *desk, const struct bw_plugin_call *call, const json_t *input, char *reason,
                     size_t size);
void http_complete_fault(const struct bw_plugin_host *host, struct bw_plugin_call *call, const struct http_fault *fault);
/* output is taken; NULL: there was no memory for it. is_doubtful: what it would mean if it cannot be written now. */
void http_complete_take(const struct bw_plugin_host *host, struct bw_plugin_call *call, json_t *output, bool is_doubtful);
void http_complete_input(const struct bw_plugin_host *host, struct bw_plugin_call *call, const char *reason);
#endif
