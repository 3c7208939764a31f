/* http/request@1: one HTTP request a step, thousands at once on the host's loop (libcurl's multi_socket interface). */
#include "request.h"
#include <stdio.h>
#include <stdlib.h>

static const char manifest[] =
    "{\"name\":\"http\",\"version\":\"1.0.0\",\"doc\":\"HTTP "
    "requests\",\"needs\":[\"network\"],\"actions\":[{\"name\":\"http/request\",\"effect\":\"write\","
    "\"doc\":\"Send one HTTP request. Network failures and answers of 408, 425, 429 and 5xx are tried again; any other answer than 2xx fails the "
    "step, unless accept_status names it.\","
    "\"inputs\":{"
    "\"method\":{\"type\":\"string\",\"default\":\"GET\",\"enum\":[\"GET\",\"HEAD\",\"POST\",\"PUT\",\"PATCH\",\"DELETE\",\"OPTIONS\"]},"
    "\"url\":{\"type\":\"string\",\"required\":true,\"doc\":\"http:// or https://; private addresses only if the instance allows them\"},"
    "\"headers\":{\"type\":\"object\",\"doc\":\"name to value\"},"
    "\"json\":{\"type\":\"any\",\"doc\":\"sent as the JSON body\"},"
    "\"body\":{\"type\":\"string\",\"doc\":\"sent as it is; json or body, not both\"},"
    "\"timeout\":{\"type\":\"string\",\"doc\":\"of this request, such as 10s; the step's own timeout is the upper bound\"},"
    "\"accept_status\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"max_items\":16,\"doc\":\"answers such as 404 that are no failure\"}},"
    "\"outputs\":{"
    "\"status\":{\"type\":\"integer\"},\"headers\":{\"type\":\"object\",\"doc\":\"names in lower case\"},"
    "\"body\":{\"type\":\"string\"},\"json\":{\"type\":\"any\",\"doc\":\"the parsed body when it is JSON\"}}}]}";

struct http {
    const struct bw_plugin_host *host;
    CURLM *multi;
    struct bw_plugin_timer *timer;
};
struct http_socket {
    struct bw_plugin_watch *watch;
    int watch_for;
};

static void collect(struct http *http)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct http_request *request;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        curl_multi_remove_handle(http->multi, request->easy);
        http_request_complete(request, result);
        http_request_free(request);
    }
}

static void on_ready(void *arg, int fd, int what)
{
    struct http *http = arg;
    int running;
    curl_multi_socket_action(http->multi, fd, (what & BW_PLUGIN_READ ? CURL_CSELECT_IN : 0) | (what & BW_PLUGIN_WRITE ? CURL_CSELECT_OUT : 0),
                             &running);
    collect(http);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http *http = arg;
    struct http_socket *watched = socket_arg;
    int watch_for = (what & CURL_POLL_IN ? BW_PLUGIN_READ : 0) | (what & CURL_POLL_OUT ? BW_PLUGIN_WRITE : 0);
    (void)easy;
    if (watched && (what == CURL_POLL_REMOVE || watched->watch_for != watch_for)) {
        http->host->unwatch(http->host, watched->watch);
        watched->watch = NULL;
        watched->watch_for = 0;
        if (what == CURL_POLL_REMOVE) {
            curl_multi_assign(http->multi, fd, NULL);
            free(watched);
            return 0;
        }
    }
    if (!watched) {
        if (what == CURL_POLL_REMOVE || !(watched = calloc(1, sizeof *watched))) return 0;
        curl_multi_assign(http->multi, fd, watched);
    }
    if (!watched->watch && watch_for && (watched->watch = http->host->watch_fd(http->host, fd, watch_for, on_ready, http)))
        watched->watch_for = watch_for;
    return 0;
}

static void on_fire(void *arg)
{
    struct http *http = arg;
    int running;
    http->timer = NULL;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(http);
}

/* libcurl forbids calling back into it from here: also a delay of 0 goes through the loop. */
static int on_timer(CURLM *multi, long delay_ms, void *arg)
{
    struct http *http = arg;
    (void)multi;
    if (http->timer) http->host->cancel_timer(http->host, http->timer);
    http->timer = delay_ms < 0 ? NULL : http->host->timer(http->host, delay_ms, on_fire, http);
    return 0;
}

static void *http_init(const struct bw_plugin_host *host, const char *config, char *error, size_t error_size)
{
    struct http *http = calloc(1, sizeof *http);
    (void)config;
    if (!http || curl_global_init(CURL_GLOBAL_DEFAULT) || !(http->multi = curl_multi_init())) {
        snprintf(error, error_size, "libcurl could not be initialised");
        free(http);
        return NULL;
    }
    http->host = host;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 64L);
    return http;
}

static void http_execute(void *instance, struct bw_plugin_call *call)
{
    struct http *http = instance;
    const char *code;
    char reason[400];
    struct http_request *request = http_request_new(http->host, call, &code, reason, sizeof reason);
    if (!request) {
        http->host->complete(
            http->host, call,
            &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_FAIL, .code = code, .message = reason});
        return;
    }
    call->data = request;
    curl_multi_add_handle(http->multi, request->easy);
}

static void http_cancel(void *instance, struct bw_plugin_call *call)
{
    struct http *http = instance;
    struct http_request *request = call->data;
    if (!request) return;
    curl_multi_remove_handle(http->multi, request->easy);
    http_request_complete(request, CURLE_ABORTED_BY_CALLBACK);
    http_request_free(request);
}

static void http_fini(void *instance)
{
    struct http *http = instance;
    curl_multi_cleanup(http->multi);
    free(http);
    curl_global_cleanup();
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
