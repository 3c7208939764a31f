/* task.h: a call in progress, whichever action it is of: what call->data points to. */
#ifndef HTTP_TASK_H
#define HTTP_TASK_H
#include "connection.h"

struct http_task {
    void (*cancel)(struct http_task *task); /* completes the call, and frees the task */
};
/* What the actions share. */
struct http_desk {
    const struct bw_plugin_host *host;
    struct http_loop *loop; /* of what names no connection */
    struct http_connections connections;
};
void http_request_start(struct http_desk *desk, struct bw_plugin_call *call); /* http/request */
void http_pages_start(struct http_desk *desk, struct bw_plugin_call *call);   /* http/pages */
#endif
