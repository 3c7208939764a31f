/* http/request, http/pages @1: thousands of requests at once on the host's loop. README.md says what a user may expect. */
#include "base/libcurl.h"
#include "input.h"
#include "manifest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void http_fini(void *instance)
{
    struct http_desk *desk = instance;
    http_connections_free(&desk->connections);
    http_loop_free(desk->loop);
    free(desk);
}

/* libcurl is loaded by whoever needs it: by a connection, whose URL it judges, or by the first call. */
static void *http_init(const struct bw_plugin_host *host, const char *config, char *error, size_t error_size)
{
    struct http_desk *desk = calloc(1, sizeof *desk);
    snprintf(error, error_size, "out of memory");
    if (!desk) return NULL;
    desk->host = host;
    if ((desk->loop = http_loop_new(host, http_transfer_over)) && http_connections_read(&desk->connections, host, config, error, error_size))
        return desk;
    http_fini(desk);
    return NULL;
}

static void http_execute(void *instance, struct bw_plugin_call *call)
{
    struct http_desk *desk = instance;
    const char *reason = bw_libcurl_load();
    struct http_fault fault;
    if (reason) {
        http_fault_set(&fault, BW_PLUGIN_FAIL, "http.no_library", "%s", reason);
        http_complete_fault(desk->host, call, &fault);
    } else if (!strcmp(call->action, "http/pages")) {
        http_pages_start(desk, call);
    } else {
        http_request_start(desk, call);
    }
}

static void http_cancel(void *instance, struct bw_plugin_call *call)
{
    struct http_task *task = call->data;
    (void)instance;
    if (!task) return;
    call->data = NULL;
    task->cancel(task);
}

BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin),
    .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = manifest,
    .init = http_init,
    .execute = http_execute,
    .cancel = http_cancel,
    .fini = http_fini,
};
