#include "loop.h"
#include <stdlib.h>

#define CONNECTIONS_PER_HOST 64L

struct http_loop {
    const struct bw_plugin_host *host;
    void (*over)(CURL *easy, CURLcode result);
    CURLM *multi; /* NULL before the first transfer: by then libcurl is there */
    struct bw_plugin_timer *timer;
};
struct watched_socket {
    struct bw_plugin_watch *watch;
    int watch_for;
};

static void collect(struct http_loop *loop)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(loop->multi, &left))) {
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        curl_multi_remove_handle(loop->multi, easy); /* message is gone */
        loop->over(easy, result);
    }
}

static void on_ready(void *arg, int fd, int what)
{
    struct http_loop *loop = arg;
    int running;
    curl_multi_socket_action(loop->multi, fd, (what & BW_PLUGIN_READ ? CURL_CSELECT_IN : 0) | (what & BW_PLUGIN_WRITE ? CURL_CSELECT_OUT : 0),
                             &running);
    collect(loop);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_loop *loop = arg;
    struct watched_socket *watched = socket_arg;
    int watch_for = (what & CURL_POLL_IN ? BW_PLUGIN_READ : 0) | (what & CURL_POLL_OUT ? BW_PLUGIN_WRITE : 0);
    (void)easy;
    if (watched && (what == CURL_POLL_REMOVE || watched->watch_for != watch_for)) {
        loop->host->unwatch(loop->host, watched->watch);
        watched->watch = NULL;
        watched->watch_for = 0;
        if (what == CURL_POLL_REMOVE) {
            curl_multi_assign(loop->multi, fd, NULL);
            free(watched);
            return 0;
        }
    }
    if (!watched) {
        if (what == CURL_POLL_REMOVE || !(watched = calloc(1, sizeof *watched))) return 0;
        curl_multi_assign(loop->multi, fd, watched);
    }
    if (!watched->watch && watch_for && (watched->watch = loop->host->watch_fd(loop->host, fd, watch_for, on_ready, loop)))
        watched->watch_for = watch_for;
    return 0;
}

static void on_fire(void *arg)
{
    struct http_loop *loop = arg;
    int running;
    loop->timer = NULL;
    curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(loop);
}

/* libcurl forbids calling back into it from here: also a delay of 0 goes through the loop. */
static int on_timer(CURLM *multi, long delay_ms, void *arg)
{
    struct http_loop *loop = arg;
    (void)multi;
    if (loop->timer) loop->host->cancel_timer(loop->host, loop->timer);
    loop->timer = delay_ms < 0 ? NULL : loop->host->timer(loop->host, delay_ms, on_fire, loop);
    return 0;
}

struct http_loop *http_loop_new(const struct bw_plugin_host *host, void (*over)(CURL *easy, CURLcode result))
{
    struct http_loop *loop = calloc(1, sizeof *loop);
    if (!loop) return NULL;
    loop->host = host;
    loop->over = over;
    return loop;
}

static bool open_multi(struct http_loop *loop)
{
    if (loop->multi) return true;
    if (!(loop->multi = curl_multi_init())) return false;
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
    curl_multi_setopt(loop->multi, CURLMOPT_MAX_HOST_CONNECTIONS, CONNECTIONS_PER_HOST);
    return true;
}

void http_loop_free(struct http_loop *loop)
{
    if (!loop) return;
    if (loop->multi) curl_multi_cleanup(loop->multi);
    if (loop->timer) loop->host->cancel_timer(loop->host, loop->timer);
    free(loop);
}

bool http_loop_add(struct http_loop *loop, CURL *easy)
{
    return open_multi(loop) && curl_multi_add_handle(loop->multi, easy) == CURLM_OK;
}

void http_loop_remove(struct http_loop *loop, CURL *easy)
{
    curl_multi_remove_handle(loop->multi, easy);
}
